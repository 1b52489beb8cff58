// The elementwise operations around the matmuls, and the list of all vector kernels.
#include "kernels/avx512/vector.h"

#include "kernels/avx512/floats.h"

namespace kette::kernels::avx512 {
namespace {

__m512 square_add(__m512 x, __m512 sum) { return _mm512_fmadd_ps(x, x, sum); }

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) sum[j] = square_add(_mm512_loadu_ps(x + i + 16 * j), sum[j]);
  }
  for (; i < n; i += 16) sum[0] = square_add(_mm512_maskz_loadu_ps(first(n - i), x + i), sum[0]);
  const float squares =
      _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
  const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(squares / static_cast<float>(n) + eps)));
  const __m512 factor = _mm512_set1_ps(1.0f / root);
  for (i = 0; i < n; i += 16) {
    const __mmask16 mask = first(n - i);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), factor);
    _mm512_mask_storeu_ps(y + i, mask, _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(mask, weight + i)));
  }
}

void silu_mul(const float* gate, const float* up, size_t n, float* y) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first(n - i);
    const __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
    const __m512 e = exponential(_mm512_sub_ps(_mm512_setzero_ps(), g));
    const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(one, e));
    _mm512_mask_storeu_ps(y + i, mask, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(mask, up + i)));
  }
}

void add(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first(n - i);
    const __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i));
    _mm512_mask_storeu_ps(y + i, mask, sum);
  }
}

void rotate_half(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; i += 16) {
    const __mmask16 mask = first(half - i);
    const __m512 c = _mm512_maskz_loadu_ps(mask, cos + i), s = _mm512_maskz_loadu_ps(mask, sin + i);
    const __m512 a = _mm512_maskz_loadu_ps(mask, x + i), b = _mm512_maskz_loadu_ps(mask, x + half + i);
    _mm512_mask_storeu_ps(x + i, mask, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
    _mm512_mask_storeu_ps(x + half + i, mask, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
  }
}

// Eight pairs at a time: each cosine and sine twice, and the pairs' other halves beside them.
void rotate_interleaved(float* x, const float* cos, const float* sin, size_t half) {
  const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  for (size_t i = 0; i < half; i += 8) {
    const __mmask16 pairs = first(half - i < 8 ? half - i : 8), mask = first(2 * (half - i));
    const __m512 c = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(pairs, cos + i));
    const __m512 s = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(pairs, sin + i));
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + 2 * i);
    const __m512 other = _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), s);
    _mm512_mask_storeu_ps(x + 2 * i, mask, _mm512_fmaddsub_ps(v, c, other));  // even lanes subtract
  }
}

void to_f16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first(n - i);
    _mm256_mask_storeu_epi16(y + i, mask,
                             _mm512_cvtps_ph(_mm512_maskz_loadu_ps(mask, x + i), _MM_FROUND_TO_NEAREST_INT));
  }
}

void to_bf16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first(n - i);
    _mm512_mask_cvtepi32_storeu_epi16(y + i, mask, to_bf16_dwords(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

}  // namespace

const VectorKernels kVector = {rms_norm, silu_mul, add,     rotate_half, rotate_interleaved,
                               quantize, to_f16,   to_bf16, to_int};

}  // namespace kette::kernels::avx512
