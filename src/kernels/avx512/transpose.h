// Dwords transposed in registers: 4 by 4 in each quarter, and 16 by 16. Internal linkage only.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512 {
namespace {

// In each quarter: v[i] dword j becomes v[j] dword i.
inline __attribute__((always_inline)) void transpose_quarters(__m512i v[4]) {
  const __m512i ab = _mm512_unpacklo_epi32(v[0], v[1]), cd = _mm512_unpacklo_epi32(v[2], v[3]);
  const __m512i ab2 = _mm512_unpackhi_epi32(v[0], v[1]), cd2 = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(ab, cd);
  v[1] = _mm512_unpackhi_epi64(ab, cd);
  v[2] = _mm512_unpacklo_epi64(ab2, cd2);
  v[3] = _mm512_unpackhi_epi64(ab2, cd2);
}

// v[i] lane j becomes v[j] lane i.
inline __attribute__((always_inline)) void transpose(__m512i v[16]) {
  __m512i t[16];
  // First t[4g + j] holds, in each quarter c, column 4c + j of rows 4g to 4g + 3; then the same with quarters for lanes.
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) t[i] = v[i];
#pragma GCC unroll 4
  for (int g = 0; g < 16; g += 4) transpose_quarters(t + g);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(t[j], t[j + 4], _MM_SHUFFLE(1, 0, 1, 0));
    const __m512i b = _mm512_shuffle_i32x4(t[j], t[j + 4], _MM_SHUFFLE(3, 2, 3, 2));
    const __m512i c = _mm512_shuffle_i32x4(t[j + 8], t[j + 12], _MM_SHUFFLE(1, 0, 1, 0));
    const __m512i d = _mm512_shuffle_i32x4(t[j + 8], t[j + 12], _MM_SHUFFLE(3, 2, 3, 2));
    v[j] = _mm512_shuffle_i32x4(a, c, _MM_SHUFFLE(2, 0, 2, 0));
    v[j + 4] = _mm512_shuffle_i32x4(a, c, _MM_SHUFFLE(3, 1, 3, 1));
    v[j + 8] = _mm512_shuffle_i32x4(b, d, _MM_SHUFFLE(2, 0, 2, 0));
    v[j + 12] = _mm512_shuffle_i32x4(b, d, _MM_SHUFFLE(3, 1, 3, 1));
  }
}

}  // namespace
}  // namespace kette::kernels::avx512
