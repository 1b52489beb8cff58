// fp8_e4m3, with a factor for each tile, into a bfloat16 panel: pairs of halves are transposed, become floats, and are
// narrowed.
#include "kernels/avx512/transpose.h"
#include "kernels/avx512_bf16/unpack_codes.h"

namespace kette::kernels::avx512_bf16 {
namespace {

constexpr size_t kPairs = 16, kTile = KETTE_TILE;

// The first n numbers at p, zeros after them, as halves of 2^-8 of them: a byte's exponent and mantissa in those of a
// half, whose bias is larger by 8.
__m512i load_halves(const uint8_t* p, size_t n) {
  const __m256i bytes = n >= kGroup ? load32(p) : _mm256_maskz_loadu_epi8((1u << n) - 1u, p);
  const __m512i wide = _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8);
  const __m512i half = _mm512_and_si512(_mm512_srai_epi16(wide, 1), _mm512_set1_epi16(static_cast<short>(0xbfff)));
  // Not a number: all of the half's exponent.
  const __m512i magnitude = _mm512_and_si512(half, _mm512_set1_epi16(0x3fff));
  const __mmask32 nan = _mm512_cmpeq_epi16_mask(magnitude, _mm512_set1_epi16(0x3f80));
  return _mm512_or_si512(half, _mm512_maskz_set1_epi16(nan, 0x4000));
}

// Factors that are multiplied by 2^8 and give no number so small that narrowing takes it for zero.
bool plain(float scale) {
  const float magnitude = scale < 0 ? -scale : scale;
  return scale == 0 || (magnitude >= 0x1p-110f && magnitude <= 0x1p110f);
}

bool all_plain(const UnpackArgs& a) {
  const size_t first = a.first_column / kTile, end = (a.first_column + a.n + kTile - 1) / kTile;
  for (size_t row = a.first_row / kTile; row <= (a.first_row + a.rows - 1) / kTile; ++row)
    for (size_t tile = first; tile < end; ++tile)
      if (!plain(a.tile_scale[row * a.tile_stride + tile])) return false;
  return true;
}

// The factors of sixteen rows at a column, times 2^8.
Twice factors(const UnpackArgs& a, size_t row, size_t column) {
  if (a.tile_scale == nullptr) return twice(_mm512_set1_ps(256.0f));
  alignas(64) float f[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    const size_t index = a.first_row + (row + r < a.rows ? row + r : a.rows - 1);
    f[r] = 256.0f * a.tile_scale[index / kTile * a.tile_stride + column / kTile];
  }
  return twice(_mm512_load_ps(f));
}

}  // namespace

void unpack_fp8_e4m3_bf16(const UnpackArgs& a) {
  if (a.tile_scale != nullptr && (a.first_column % kTile != 0 || !all_plain(a))) return avx512::unpack_any_bf16(a);
  for (size_t row = 0; row < a.rows; row += kRows) {
    const Sixteen rows(a, row);
    Twice factor = {};
    for (size_t k = 0; k < a.n; k += kGroup) {
      if (k % kTile == 0) factor = factors(a, row, a.first_column + k);
      const size_t n = a.n - k < kGroup ? a.n - k : kGroup;
      __m512i v[kRows];
#pragma GCC unroll 16
      for (size_t r = 0; r < kRows; ++r) v[r] = load_halves(rows.at[r] + k, n);
      avx512::transpose(v);
#pragma GCC unroll 16
      for (size_t i = 0; i < kPairs; ++i) {
        if (2 * i >= n) break;
        const __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(v[i]));
        const __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v[i], 1));
        const __m512i pairs = narrow(_mm512_mul_ps(low, factor.low), _mm512_mul_ps(high, factor.high));
        // The zero past an odd number's last may have got a sign.
        rows.store(k + 2 * i, 2 * i + 1 < n ? pairs : _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff)));
      }
    }
    rows.clear(a, a.rows - row);
  }
}

}  // namespace kette::kernels::avx512_bf16
