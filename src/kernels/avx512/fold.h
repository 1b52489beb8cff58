// Eight vectors, each brought down to one number, side by side. Internal linkage only.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512 {
namespace {

// What all lanes of v[g] come to by `join`, in lane g. The order is the same for each.
template <class Join>
inline __attribute__((always_inline)) __m256i fold(const __m512i (&v)[8], const Join& join) {
  __m512i pairs[4], fours[2];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i)
    pairs[i] = join(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 2
  for (size_t i = 0; i < 2; ++i)
    fours[i] = join(_mm512_unpacklo_epi64(pairs[2 * i], pairs[2 * i + 1]),
                    _mm512_unpackhi_epi64(pairs[2 * i], pairs[2 * i + 1]));
  // Quarters: two of the first four, two of the second four; then one of each.
  const __m512i halves =
      join(_mm512_shuffle_i32x4(fours[0], fours[1], 0x44), _mm512_shuffle_i32x4(fours[0], fours[1], 0xee));
  const __m512i whole = join(halves, _mm512_shuffle_i32x4(halves, halves, _MM_SHUFFLE(2, 3, 0, 1)));
  return _mm512_castsi512_si256(_mm512_shuffle_i32x4(whole, whole, _MM_SHUFFLE(3, 1, 2, 0)));
}

}  // namespace
}  // namespace kette::kernels::avx512
