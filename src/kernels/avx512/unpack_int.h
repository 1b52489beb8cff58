// From a format's codes and factors (kernels/avx512/strip.h) to panels of integers. Internal linkage only.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

// Two vectors of 16-bit numbers, as floats, side by side in each lane. What is not a number comes out as any.
inline __m512i in_pairs(__m512 low, __m512 high) {
  return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_cvtps_epi32(low), _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16));
}

template <class Format>
struct ToInt {
  static constexpr size_t kParts = Format::kParts, kShare = kGroup / kParts;
  // What codes are too large by; where that is not the format's, the rest of an offset is kept.
  static constexpr size_t kZero = Format::kSums > 0 ? 8 : Format::kOffset;
  static_assert((Format::kSums == 0 || Format::kOffset == 0) && Format::kMostCode < 2 * kZero);
  // So many bits less, and the sum of kShare products fits in 16.
  static constexpr int kShift = kShare * kZero == 256 ? 0 : kShare * kZero == 512 ? 1 : 4;
  static_assert(kShare * kZero == (size_t{256} << kShift));

  const float* factors;

  __m512 factor(size_t g, size_t i) const { return _mm512_load_ps(factors + g * kFactors<Format> + i * kStrip); }
  __m512 scale(size_t part) const { return factor(part / kParts, part % kParts); }
  __m512 offset(size_t g) const { return _mm512_fmadd_ps(factor(g, 0), _mm512_set1_ps(kZero), factor(g, kParts)); }

  // All but the codes.
  void write(size_t groups, IntWeights* out) const {
    out->share = kShare;
    out->shift = kShift;
    out->has_offsets = Format::kSums > 0;
    const size_t parts = kParts * groups, all = (parts + 2 * kParts - 1) / (2 * kParts) * 2 * kParts;
    __m512 unit = _mm512_setzero_ps(), zero = _mm512_setzero_ps();
    // The second operand is kept where the first is not a number, which zero then is no longer.
    const auto reach = [&](__m512 v, float most) {
      unit = _mm512_max_ps(_mm512_mul_ps(_mm512_abs_ps(v), _mm512_set1_ps(1.0f / most)), unit);
      zero = _mm512_fmadd_ps(v, _mm512_setzero_ps(), zero);
    };
    for (size_t part = 0; part < parts; ++part) reach(scale(part), KETTE_INT_MOST_SCALE);
    for (size_t g = 0; Format::kSums > 0 && g < groups; ++g) reach(offset(g), KETTE_INT_MOST_OFFSET);
    const __mmask16 tiny = _mm512_cmp_ps_mask(unit, _mm512_set1_ps(0x1p-120f), _CMP_LT_OQ);
    const __m512 inverse = _mm512_maskz_div_ps(_knot_mask16(tiny), _mm512_set1_ps(1.0f), unit);
    _mm512_store_ps(out->unit, _mm512_fmadd_ps(unit, _mm512_set1_ps(1 << kShift), zero));
    const auto in_units = [&](__m512 v) { return _mm512_mul_ps(v, inverse); };
    const __m512 none = _mm512_setzero_ps();
    for (size_t part = 0; part < all; part += 2)
      _mm512_store_si512(out->scale[part / 2], in_pairs(part < parts ? in_units(scale(part)) : none,
                                                        part + 1 < parts ? in_units(scale(part + 1)) : none));
    for (size_t g = 0; Format::kSums > 0 && g < groups; g += 2)
      _mm512_store_si512(out->offset[g / 2],
                         in_pairs(in_units(offset(g)), g + 1 < groups ? in_units(offset(g + 1)) : none));
  }
};

template <class Format>
void unpack_int(const UnpackArgs& a) {
  static_assert(kDepth == KETTE_INT_BLOCK);
  alignas(64) float factors[kGroups * kFactors<Format>];
  auto* panel = static_cast<IntWeights*>(a.panel);
  for (size_t row = 0; row < (a.rows + 31) / 32 * 32; row += kStrip) {
    Rows w(a, row);
    for (size_t k = 0; k < a.n; k += kDepth) {
      const size_t groups = (a.n - k < kDepth ? a.n - k : kDepth) / kGroup;
      IntWeights& out = panel[k / kDepth * (KETTE_PANEL_WIDTH / kStrip) + row / kStrip];
      for (size_t g = 0; g < groups; g += Format::kBlock / kGroup, w.at += Format::kBytes) {
        if (!a.is_near) fetch(a, row + kStrip, row + 2 * kStrip, w.at, Format::kBytes);  // which the next strip reads
        Format::factors(w, factors + g * kFactors<Format>);
        Format::codes(w, reinterpret_cast<uint8_t*>(out.code) + g * kCodes);
      }
      ToInt<Format>{factors}.write(groups, &out);
    }
  }
}

}  // namespace
}  // namespace kette::kernels::avx512
