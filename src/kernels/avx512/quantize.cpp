// Activations to int8 with a scale per 32 and sums per 16 (the reference says the exact meaning).
#include "kernels/avx512/vector.h"

namespace kette::kernels::avx512 {
namespace {

// In [-127, 127]; not a number becomes -127.
__m512i round16(__m512 x, __m512 factor) {
  const __m512 bounded = _mm512_max_ps(_mm512_mul_ps(x, factor), _mm512_set1_ps(-127.0f));
  return _mm512_cvtps_epi32(_mm512_min_ps(bounded, _mm512_set1_ps(127.0f)));
}

}  // namespace

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16) {
  for (size_t block = 0; block < n / 32; ++block, x += 32, q += 32) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    // The second operand is returned where the first is not a number.
    const __m512 zero = _mm512_setzero_ps();
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_max_ps(_mm512_abs_ps(b), zero)));
    const bool tiny = largest < 0x1p-120f;
    const __m512 factor = _mm512_set1_ps(tiny ? 0.0f : 127.0f / largest);
    scale[block] = tiny ? 0.0f : largest / 127.0f;
    const __m512i qa = round16(a, factor), qb = round16(b, factor);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16), _mm512_cvtepi32_epi8(qb));
    sum16[2 * block] = scale[block] * static_cast<float>(_mm512_reduce_add_epi32(qa));
    sum16[2 * block + 1] = scale[block] * static_cast<float>(_mm512_reduce_add_epi32(qb));
  }
}

}  // namespace kette::kernels::avx512
