// Sixteen rows into sixteen columns of a panel, as floats or as pairs of bfloat16.
#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"
#include "kernels/avx512/vector.h"

namespace kette::kernels::avx512 {
namespace {

// The 32 numbers of v0, v1: dword i holds number 2i in its low and 2i + 1 in its high half.
__m512i bf16_pairs(__m512 v0, __m512 v1) {
  const __m512i low = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(to_bf16_dwords(v0)));
  return _mm512_inserti64x4(low, _mm512_cvtepi32_epi16(to_bf16_dwords(v1)), 1);
}

}  // namespace

void pack_f32(const float* rows, size_t ld, size_t n_k, float* out, size_t width) {
  for (size_t k = 0; k < n_k; k += 16) {
    const size_t n = n_k - k < 16 ? n_k - k : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t row = 0; row < 16; ++row) v[row] = _mm512_maskz_loadu_epi32(first(n), rows + row * ld + k);
    transpose(v);
    if (n == 16) {
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(out + (k + i) * width, v[i]);
    } else {
      for (size_t i = 0; i < n; ++i) _mm512_storeu_si512(out + (k + i) * width, v[i]);
    }
  }
}

void pack_bf16(const float* rows, size_t ld, size_t n_k, uint16_t* out, size_t width) {
  for (size_t k = 0; k < n_k; k += 32) {
    const size_t n = n_k - k < 32 ? n_k - k : 32;
    const __mmask16 mask0 = first(n), mask1 = first(n > 16 ? n - 16 : 0);
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t row = 0; row < 16; ++row) {
      const float* from = rows + row * ld + k;
      v[row] = bf16_pairs(_mm512_maskz_loadu_ps(mask0, from), _mm512_maskz_loadu_ps(mask1, from + 16));
    }
    transpose(v);
    if (n == 32) {
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(out + (k / 2 + i) * width * 2, v[i]);
    } else {
      for (size_t i = 0; i < n / 2; ++i) _mm512_storeu_si512(out + (k / 2 + i) * width * 2, v[i]);
    }
  }
}

}  // namespace kette::kernels::avx512
