// Codes of four bits out of bytes, and of more bits whose upper ones lie elsewhere. Internal linkage only.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512 {
namespace {

inline __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
inline __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

// Of each byte the low four bits of `nibbles`, above them those of `upper` that are in `mask`.
inline __m512i join(__m512i nibbles, __m512i upper, char mask) {
  const __m512i both = _mm512_ternarylogic_epi32(_mm512_set1_epi8(15), nibbles, upper, 0xca);  // 15 ? nibbles : upper
  return _mm512_and_si512(both, _mm512_set1_epi8(mask));
}

}  // namespace
}  // namespace kette::kernels::avx512
