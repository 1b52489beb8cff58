// q6_k: 256 weights are 128 bytes of low nibbles, 64 bytes of upper two bits, 16 int8 scales (one of 16 weights),
// f16 d; d * scale * (code - 32). Of each 128 weights byte l of 64 holds weights l (low) and l + 64 (high nibble),
// and byte l of 32 the upper bits of weights l, l + 32, l + 64, l + 96.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

struct Q6K {
  enum : size_t { kWeights = 256, kBytes = 210 };
  enum : bool { kQ8 = true };
  struct X {
    const int8_t* q;
    __m256 scale;      // [8]
    __m256 offset[2];  // [16] -32 * sum of the 16
  };
  struct W {
    const uint8_t* block;
    __m256i scales;  // int16: eight even ones, eight odd ones
    __m256 d, factors[2];  // d, [16] d * scale
  };

  static X activation(const Activation& x) {
    const __m256 offset = _mm256_set1_ps(-32.0f);
    return {x.q, _mm256_loadu_ps(x.scale), {_mm256_mul_ps(_mm256_loadu_ps(x.sum16), offset),
                                            _mm256_mul_ps(_mm256_loadu_ps(x.sum16 + 8), offset)}};
  }

  static W unpack(const uint8_t* p) {
    const __m128i scales = load16(p + 192);
    const __m128i split = _mm_shuffle_epi8(scales, _mm_set_epi8(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0));
    uint16_t half;
    memcpy(&half, p + 208, 2);
    const __m256 d = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(scales));
    const __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(scales, scales)));
    return {p, _mm256_cvtepi8_epi16(split), d, {_mm256_mul_ps(low, d), _mm256_mul_ps(high, d)}};
  }

  // 32 weights, the Index-th of the block's eight: integer products times the two scales, times d * x's scale.
  template <int Index>
  static __m256 add_part(__m256i nibbles, __m256i upper, const W& w, const X& x, __m256 scale, __m256 sum) {
    const __m256i codes = _mm256_or_si256(_mm256_and_si256(nibbles, _mm256_set1_epi8(15)),
                                          _mm256_and_si256(upper, _mm256_set1_epi8(0x30)));
    const __m256i pairs = _mm256_maddubs_epi16(codes, load(x.q + 32 * Index));
    const __m256i pick = _mm256_set1_epi16(static_cast<int16_t>(2 * Index | (2 * Index + 1) << 8));
    const __m256i dot = _mm256_madd_epi16(pairs, _mm256_shuffle_epi8(w.scales, pick));
    return scaled_add(dot, _mm256_permute_ps(scale, Index % 4 * 0x55), sum);
  }

  template <int Half>
  static __m256 add_half(const W& w, const X& x, __m256 scale, __m256 sum) {
    const __m256i a = load(w.block + 64 * Half), b = load(w.block + 64 * Half + 32);
    const __m256i upper = load(w.block + 128 + 32 * Half);
    sum = add_part<4 * Half>(a, _mm256_slli_epi16(upper, 4), w, x, scale, sum);
    sum = add_part<4 * Half + 1>(b, _mm256_slli_epi16(upper, 2), w, x, scale, sum);
    sum = add_part<4 * Half + 2>(_mm256_srli_epi16(a, 4), upper, w, x, scale, sum);
    return add_part<4 * Half + 3>(_mm256_srli_epi16(b, 4), _mm256_srli_epi16(upper, 2), w, x, scale, sum);
  }

  static __m256 add(const W& w, const X& x, __m256 sum) {
    const __m256 scale = _mm256_mul_ps(w.d, x.scale);
    sum = _mm256_fmadd_ps(w.factors[0], x.offset[0], sum);
    sum = _mm256_fmadd_ps(w.factors[1], x.offset[1], sum);
    sum = add_half<0>(w, x, _mm256_permute2f128_ps(scale, scale, 0x00), sum);
    return add_half<1>(w, x, _mm256_permute2f128_ps(scale, scale, 0x11), sum);
  }
};

}  // namespace

void dot_q6_k(const DotArgs& a) { dot_rows<Q6K>(a); }

}  // namespace kette::kernels::avx2
