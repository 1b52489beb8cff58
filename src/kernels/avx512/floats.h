// Small helpers over 16 lanes: the exponential, bfloat16, the mask of a tail, four bytes everywhere. Internal linkage only.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512 {
namespace {

// The first n lanes, all of them from 16 on.
inline __mmask16 first(size_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u); }

// The four bytes at p, in every lane.
inline __m512i in_each_lane(const void* p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}

// e^x by so many terms: x = n ln 2 + r, |r| <= ln(2) / 2, Taylor's series for e^r, times 2^n. Infinite, zero or not a
// number where e^x is. Eight terms are right to 2 units in the last place, five to 2^-14 of the result.
template <size_t kTerms = 8>
inline __m512 exponential(__m512 x) {
  // The constant is the first operand: where x is not a number the second one is returned.
  x = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.5f), x));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  // ln 2 in two parts, the first with zeros at its end, so that n times it is exact.
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
  constexpr float kOver[] = {1.0f, 1.0f, 1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
  __m512 p = _mm512_set1_ps(kOver[kTerms - 1]);
#pragma GCC unroll 8
  for (size_t i = kTerms - 1; i > 0; --i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kOver[i - 1]));
  return _mm512_scalef_ps(p, n);
}

inline __m512 from_bf16(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }

// Rounded to nearest even, in the low half of each dword; not a number stays so, made quiet.
inline __m512i to_bf16_dwords(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  return _mm512_srli_epi32(_mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000)), 16);
}

}  // namespace
}  // namespace kette::kernels::avx512
