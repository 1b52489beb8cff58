// The transposition of 8 rows of 8 dwords in registers. Internal linkage only.
#pragma once

#include "kernels/avx2/simd.h"

namespace kette::kernels::avx2 {
namespace {

// v[i] lane j becomes v[j] lane i.
inline __attribute__((always_inline)) void transpose(__m256i v[8]) {
  __m256i t[8];
  // Within groups of four rows and four lanes: t[4g + j] holds, in each half c, column 4c + j of rows 4g to 4g + 3.
#pragma GCC unroll 2
  for (int g = 0; g < 8; g += 4) {
    const __m256i ab = _mm256_unpacklo_epi32(v[g], v[g + 1]), cd = _mm256_unpacklo_epi32(v[g + 2], v[g + 3]);
    const __m256i ab2 = _mm256_unpackhi_epi32(v[g], v[g + 1]), cd2 = _mm256_unpackhi_epi32(v[g + 2], v[g + 3]);
    t[g] = _mm256_unpacklo_epi64(ab, cd);
    t[g + 1] = _mm256_unpackhi_epi64(ab, cd);
    t[g + 2] = _mm256_unpacklo_epi64(ab2, cd2);
    t[g + 3] = _mm256_unpackhi_epi64(ab2, cd2);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    v[j] = _mm256_permute2x128_si256(t[j], t[j + 4], 0x20);
    v[j + 4] = _mm256_permute2x128_si256(t[j], t[j + 4], 0x31);
  }
}

}  // namespace
}  // namespace kette::kernels::avx2
