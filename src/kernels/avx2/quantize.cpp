// Activations to int8 with a scale per 32 and sums per 16 (the reference says the exact meaning).
#include "kernels/avx2/floats.h"
#include "kernels/avx2/vector.h"

namespace kette::kernels::avx2 {
namespace {

// In [-127, 127]; not a number becomes -127.
__m256i round8(__m256 x, __m256 factor) {
  const __m256 bounded = _mm256_max_ps(_mm256_mul_ps(x, factor), _mm256_set1_ps(-127.0f));
  return _mm256_cvtps_epi32(_mm256_min_ps(bounded, _mm256_set1_ps(127.0f)));
}

// Floats that are not negative are in the order of their bits, and not a number is above them all.
float largest_float(__m256i v) {
  __m128i s = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_max_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(1, 0, 3, 2)));
  s = _mm_max_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(2, 3, 0, 1)));
  return _mm_cvtss_f32(_mm_castsi128_ps(s));
}

float sum_of(__m256i a, __m256i b) {
  const __m256i v = _mm256_add_epi32(a, b);
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(1, 0, 3, 2)));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(2, 3, 0, 1)));
  return static_cast<float>(_mm_cvtsi128_si32(s));
}

}  // namespace

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  for (size_t block = 0; block < n / 32; ++block, x += 32, q += 32) {
    __m256 v[4];
    __m256i most = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(x + 8 * i);
      most = _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(v[i]), magnitude), most);
    }
    const float largest = largest_float(most);
    const bool tiny = largest < 0x1p-120f;
    const __m256 factor = _mm256_set1_ps(largest >= 0x1p-120f ? 127.0f / largest : 0.0f);
    scale[block] = tiny ? 0.0f : largest / 127.0f;
    const __m256i q0 = round8(v[0], factor), q1 = round8(v[1], factor);
    const __m256i q2 = round8(v[2], factor), q3 = round8(v[3], factor);
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q0, q1), _mm256_packs_epi32(q2, q3));
    const __m256i order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);  // packing works within halves
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_permutevar8x32_epi32(bytes, order));
    sum16[2 * block] = scale[block] * sum_of(q0, q1);
    sum16[2 * block + 1] = scale[block] * sum_of(q2, q3);
  }
}

}  // namespace kette::kernels::avx2
