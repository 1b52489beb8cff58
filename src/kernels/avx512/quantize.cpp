// Activations to int8, for the dot kernels and for panels of integers (the reference says the exact meaning).
#include "kernels/avx512/floats.h"
#include "kernels/avx512/vector.h"

namespace kette::kernels::avx512 {
namespace {

// In [-127, 127]; not a number becomes -127.
__m512i round16(__m512 x, __m512 factor) {
  const __m512 bounded = _mm512_max_ps(_mm512_mul_ps(x, factor), _mm512_set1_ps(-127.0f));
  return _mm512_cvtps_epi32(_mm512_min_ps(bounded, _mm512_set1_ps(127.0f)));
}

// 32 numbers -> their scale and the bytes that they are in it.
struct Bytes {
  float scale;
  __m512i a, b;
};
Bytes to_bytes(__m512 a, __m512 b) {
  // The second operand is returned where the first is not a number.
  const __m512 zero = _mm512_setzero_ps();
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_max_ps(_mm512_abs_ps(b), zero)));
  const bool tiny = largest < 0x1p-120f;
  const __m512 factor = _mm512_set1_ps(tiny ? 0.0f : 127.0f / largest);
  return {tiny ? 0.0f : largest / 127.0f, round16(a, factor), round16(b, factor)};
}

}  // namespace

void to_int(const float* x, size_t n, IntNumbers* y) {
  constexpr size_t kGroups = KETTE_INT_BLOCK / 32;
  for (size_t block = 0; block < n; block += KETTE_INT_BLOCK, ++y) {
    alignas(32) float scale[kGroups];
    alignas(32) int32_t sum[kGroups];
    for (size_t g = 0; g < kGroups; ++g) {
      const size_t at = block + 32 * g, left = n > at ? n - at : 0;
      const float* from = x + (left > 0 ? at : 0);
      const Bytes q = to_bytes(_mm512_maskz_loadu_ps(first(left), from),
                               _mm512_maskz_loadu_ps(left > 16 ? first(left - 16) : first(0), from + 16));
      scale[g] = q.scale;
      sum[g] = _mm512_reduce_add_epi32(_mm512_add_epi32(q.a, q.b));
      const __m128i zero = _mm_set1_epi8(static_cast<char>(0x80));
      auto* out = reinterpret_cast<__m128i*>(y->q + 32 * g);
      _mm_storeu_si128(out, _mm_xor_si128(_mm512_cvtepi32_epi8(q.a), zero));
      _mm_storeu_si128(out + 1, _mm_xor_si128(_mm512_cvtepi32_epi8(q.b), zero));
    }
    const __m256 scales = _mm256_load_ps(scale);
    const float largest = _mm512_mask_reduce_max_ps(0xff, _mm512_castps256_ps512(scales));
    const __m256 most = _mm256_set1_ps(largest);
    y->scale = largest * (32768.0f / 32767.0f);
    const __mmask8 less = _mm256_cmp_ps_mask(scales, most, _CMP_LT_OQ);
    const __m256i whole = _mm256_set1_epi32(largest > 0 ? 32767 : 0);
    const __m256i ratio =
        _mm256_mask_cvtps_epi32(whole, less, _mm256_mul_ps(_mm256_div_ps(scales, most), _mm256_set1_ps(32767.0f)));
    const __m256i product = _mm256_mullo_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(sum)), ratio);
    const __m256i sums = _mm256_srai_epi32(_mm256_add_epi32(product, _mm256_set1_epi32(16384)), 15);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y->ratio), _mm256_cvtepi32_epi16(ratio));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y->sum), _mm256_cvtepi32_epi16(sums));
  }
}

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16) {
  for (size_t block = 0; block < n / 32; ++block, x += 32, q += 32) {
    const Bytes bytes = to_bytes(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16));
    scale[block] = bytes.scale;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(bytes.a));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16), _mm512_cvtepi32_epi8(bytes.b));
    sum16[2 * block] = scale[block] * static_cast<float>(_mm512_reduce_add_epi32(bytes.a));
    sum16[2 * block + 1] = scale[block] * static_cast<float>(_mm512_reduce_add_epi32(bytes.b));
  }
}

}  // namespace kette::kernels::avx512
