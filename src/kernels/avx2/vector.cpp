// The elementwise operations around the matmuls, and the list of all vector kernels.
#include "kernels/avx2/vector.h"

#include "kernels/avx2/floats.h"
#include "kernels/ref/vector.h"

namespace kette::kernels::avx2 {
namespace {

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
      const __m256 v = _mm256_loadu_ps(x + i + 8 * j);
      sum[j] = _mm256_fmadd_ps(v, v, sum[j]);
    }
  }
  for (; i < n; i += 8) {
    const __m256 v = load_first(x + i, n - i);
    sum[0] = _mm256_fmadd_ps(v, v, sum[0]);
  }
  const float squares = total(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
  const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(squares / static_cast<float>(n) + eps)));
  const __m256 factor = _mm256_set1_ps(1.0f / root);
  for (i = 0; i < n; i += 8) {
    const __m256 scaled = _mm256_mul_ps(load_first(x + i, n - i), factor);
    store_first(y + i, n - i, _mm256_mul_ps(scaled, load_first(weight + i, n - i)));
  }
}

void silu_mul(const float* gate, const float* up, size_t n, float* y) {
  const __m256 one = _mm256_set1_ps(1.0f);
  for (size_t i = 0; i < n; i += 8) {
    const __m256 g = load_first(gate + i, n - i);
    const __m256 e = exponential(_mm256_sub_ps(_mm256_setzero_ps(), g));
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, e));
    store_first(y + i, n - i, _mm256_mul_ps(silu, load_first(up + i, n - i)));
  }
}

void add(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 8)
    store_first(y + i, n - i, _mm256_add_ps(load_first(x + i, n - i), load_first(y + i, n - i)));
}

void rotate_half(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; i += 8) {
    const size_t n = half - i;
    const __m256 c = load_first(cos + i, n), s = load_first(sin + i, n);
    const __m256 a = load_first(x + i, n), b = load_first(x + half + i, n);
    store_first(x + i, n, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    store_first(x + half + i, n, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
  }
}

// Four pairs at a time: each cosine and sine twice, and the pairs' other halves beside them.
void rotate_interleaved(float* x, const float* cos, const float* sin, size_t half) {
  const __m256i twice = _mm256_set_epi32(3, 3, 2, 2, 1, 1, 0, 0);
  for (size_t i = 0; i < half; i += 4) {
    const size_t pairs = half - i < 4 ? half - i : 4;
    const __m256 c = _mm256_permutevar8x32_ps(_mm256_maskload_ps(cos + i, first(pairs)), twice);
    const __m256 s = _mm256_permutevar8x32_ps(_mm256_maskload_ps(sin + i, first(pairs)), twice);
    const __m256 v = load_first(x + 2 * i, 2 * pairs);
    const __m256 other = _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), s);
    store_first(x + 2 * i, 2 * pairs, _mm256_fmaddsub_ps(v, c, other));  // even lanes subtract
  }
}

void store_first_16bit(uint16_t* p, size_t n, __m128i v) {
  if (n >= 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
  else
    memcpy(p, &v, n * sizeof(uint16_t));
}

void to_f16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; i += 8)
    store_first_16bit(y + i, n - i, _mm256_cvtps_ph(load_first(x + i, n - i), _MM_FROUND_TO_NEAREST_INT));
}

void to_bf16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; i += 8) {
    const __m256i dwords = to_bf16_dwords(load_first(x + i, n - i));
    store_first_16bit(y + i, n - i, _mm256_castsi256_si128(low_halves(dwords, dwords)));
  }
}

}  // namespace

const VectorKernels kVector = {rms_norm, silu_mul, add,     rotate_half, rotate_interleaved,
                               quantize, to_f16,   to_bf16, ref::to_int};  // no panel of AVX2 reads it

}  // namespace kette::kernels::avx2
