// The first 16 bytes of q4_k's and q5_k's blocks of 256: f16 d, f16 dmin, eight 6-bit scales and mins. Internal linkage
// only.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

// Byte g of each row's dword, times its factor, to record g. (2^23 + byte) * factor - 2^23 * factor: rounded once, as
// byte * factor is.
template <class Format>
inline __attribute__((always_inline)) void store_factors(__m512i bytes, __m512 factor, __m512 away, uint8_t* out) {
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g)
    store(out + static_cast<size_t>(g) * kRecord<Format>, _mm512_fmadd_ps(byte_over_2_23(bytes, g), factor, away));
}

// Into records: d * scale, -dmin * min. Dwords a b c of a row's packed sixes: bytes of a are scales 0 to 3, of b mins 0
// to 3 (6 bits); those 4 to 7 have their low four bits in c (scale in the low nibble, min in the high one) and the upper
// two in the top of a and b.
template <class Format>
inline __attribute__((always_inline)) void store_sixes(const Rows& rows, uint8_t* out) {
  __m512i v[4];
  load_fours(rows, 0, v);  // d dmin, a, b, c
  const Pair d = split_halves(v[0]);
  const __m512 dmin = _mm512_sub_ps(_mm512_setzero_ps(), d.second);
  const __m512 far = _mm512_set1_ps(-0x1p23f), d_away = _mm512_mul_ps(d.first, far), m_away = _mm512_mul_ps(dmin, far);
  const __m512i six = _mm512_set1_epi8(0x3f);
  const __m512i scales = join(v[3], _mm512_srli_epi32(v[1], 2), 0x3f);
  const __m512i mins = join(_mm512_srli_epi32(v[3], 4), _mm512_srli_epi32(v[2], 2), 0x3f);
  out += kCodes;
  store_factors<Format>(_mm512_and_si512(v[1], six), d.first, d_away, out);
  store_factors<Format>(scales, d.first, d_away, out + 4 * kRecord<Format>);
  store_factors<Format>(_mm512_and_si512(v[2], six), dmin, m_away, out + 64);
  store_factors<Format>(mins, dmin, m_away, out + 4 * kRecord<Format> + 64);
}

}  // namespace
}  // namespace kette::kernels::avx512
