// q4_k: 256 weights are f16 d, f16 dmin, 12 bytes of eight 6-bit scales and mins, 128 bytes of nibbles, each 32 of
// which hold a group of 32 in the low and the next one in the high nibbles; d * scale * code - dmin * min.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4K {
  static constexpr size_t kBlock = 256, kBytes = 144, kParts = 1, kSums = 1, kOffset = 0, kMostCode = 15;

  // Byte g of each row's dword, times its factor, to group g. (2^23 + byte) * factor - 2^23 * factor: rounded once, as
  // byte * factor is.
  static inline __attribute__((always_inline)) void store_factors(__m512i bytes, __m512 factor, __m512 away,
                                                                  float* out) {
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g)
      store(out + static_cast<size_t>(g) * kFactors<Q4K>, _mm512_fmadd_ps(byte_over_2_23(bytes, g), factor, away));
  }

  // d * scale, -dmin * min. Dwords a b c of a row's packed sixes: bytes of a are scales 0 to 3, of b mins 0
  // to 3 (6 bits); those 4 to 7 have their low four bits in c (scale in the low nibble, min in the high one) and the upper
  // two in the top of a and b.
  static inline __attribute__((always_inline)) void factors(const Rows& rows, float* out) {
    __m512i v[4];
    load_fours(rows, 0, v);  // d dmin, a, b, c
    const __m512 d = low_halves(v[0]), dmin = _mm512_sub_ps(_mm512_setzero_ps(), high_halves(v[0]));
    const __m512 far = _mm512_set1_ps(-0x1p23f), d_away = _mm512_mul_ps(d, far), m_away = _mm512_mul_ps(dmin, far);
    const __m512i six = _mm512_set1_epi8(0x3f);
    const __m512i scales = join(v[3], _mm512_srli_epi32(v[1], 2), 0x3f);
    const __m512i mins = join(_mm512_srli_epi32(v[3], 4), _mm512_srli_epi32(v[2], 2), 0x3f);
    store_factors(_mm512_and_si512(v[1], six), d, d_away, out);
    store_factors(scales, d, d_away, out + 4 * kFactors<Q4K>);
    store_factors(_mm512_and_si512(v[2], six), dmin, m_away, out + kStrip);
    store_factors(mins, dmin, m_away, out + 4 * kFactors<Q4K> + kStrip);
  }

  static void codes(const Rows& rows, uint8_t* out) {
    for (size_t g = 0; g < 8; g += 2) {
      __m512i v[8];
      load_eights(rows, 16 + 16 * g, v);
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
        store(out + g * kCodes + 64 * j, low_nibbles(v[j]));
        store(out + (g + 1) * kCodes + 64 * j, high_nibbles(v[j]));
      }
    }
  }
  // Two groups lie in the low and the high nibbles of 32 bytes.
  static constexpr size_t kAtOnce = 2, kShift = 4;
  static void quarters(const Rows& rows, size_t r, size_t half, size_t g, __m512i (&codes)[2]) {
    const __m512i v = four_rows(rows, r, 16 + 16 * g + 16 * half);
    codes[0] = low_nibbles(v);
    codes[1] = _mm512_andnot_si512(_mm512_set1_epi8(15), v);
  }
};

}  // namespace
}  // namespace kette::kernels::avx512
