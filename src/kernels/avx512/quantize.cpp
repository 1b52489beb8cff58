// Activations to int8, for the dot kernels and for panels of integers (the reference says the exact meaning).
#include "kernels/avx512/floats.h"
#include "kernels/avx512/fold.h"
#include "kernels/avx512/vector.h"

namespace kette::kernels::avx512 {
namespace {

constexpr size_t kGroup = 32, kGroups = 8, kBlock = kGroup * kGroups;
static_assert(kBlock == KETTE_INT_BLOCK);

inline __m256i sums(const __m512i (&v)[kGroups]) {
  return fold(v, [](__m512i a, __m512i b) { return _mm512_add_epi32(a, b); });
}

// In [-127, 127]; not a number becomes -127.
inline __m512i round16(__m512 x, __m512 factor) {
  const __m512 bounded = _mm512_max_ps(_mm512_mul_ps(x, factor), _mm512_set1_ps(-127.0f));
  return _mm512_cvtps_epi32(_mm512_min_ps(bounded, _mm512_set1_ps(127.0f)));
}

// The integers of each group's halves, and the groups' scales.
struct Block {
  __m512i half[2][kGroups];
  __m256 scale;
};

// The first n numbers at x, and zeros, are a block.
inline __attribute__((always_inline)) Block to_integers(const float* x, size_t n) {
  __m512 number[2][kGroups];
  __m512i largest[kGroups];
#pragma GCC unroll 8
  for (size_t g = 0; g < kGroups; ++g) {
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; ++h) {
      const size_t at = kGroup * g + 16 * h;
      number[h][g] = n >= kBlock ? _mm512_loadu_ps(x + at) : _mm512_maskz_loadu_ps(first(n > at ? n - at : 0), x + at);
    }
    const __m512 a = _mm512_abs_ps(number[0][g]), b = _mm512_abs_ps(number[1][g]);
    largest[g] = _mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b));
  }
  // Floats that are not negative are in the order of their bits, and not a number is above them all.
  const __m256 most = _mm256_castsi256_ps(fold(largest, [](__m512i a, __m512i b) { return _mm512_max_epi32(a, b); }));
  const __m256 least = _mm256_set1_ps(0x1p-120f), bound = _mm256_set1_ps(127.0f);
  const __m256 factor = _mm256_maskz_div_ps(_mm256_cmp_ps_mask(most, least, _CMP_GE_OQ), bound, most);
  Block out;
  out.scale = _mm256_maskz_div_ps(_mm256_cmp_ps_mask(most, least, _CMP_NLT_UQ), most, bound);
#pragma GCC unroll 8
  for (size_t g = 0; g < kGroups; ++g) {
    const __m512 f = _mm512_permutexvar_ps(_mm512_set1_epi32(static_cast<int>(g)), _mm512_castps256_ps512(factor));
    out.half[0][g] = round16(number[0][g], f);
    out.half[1][g] = round16(number[1][g], f);
  }
  return out;
}

inline void store_bytes(const Block& block, size_t g, int8_t* to) {
  auto* out = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(out, _mm512_cvtepi32_epi8(block.half[0][g]));
  _mm_storeu_si128(out + 1, _mm512_cvtepi32_epi8(block.half[1][g]));
}

// Of each group's first half and its second.
inline __m512i sums_of_halves(const Block& block) {
  const __m512i order = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutex2var_epi32(_mm512_castsi256_si512(sums(block.half[0])), order,
                                   _mm512_castsi256_si512(sums(block.half[1])));
}

}  // namespace

void to_int(const float* x, size_t n, IntNumbers* y) {
  for (size_t k = 0; k < n; k += kBlock, ++y) {
    const Block block = to_integers(x + k, n - k);
#pragma GCC unroll 8
    for (size_t g = 0; g < kGroups; ++g) store_bytes(block, g, y->q + kGroup * g);
    const __m512i halves = sums_of_halves(block);
    const __m256i whole =
        _mm512_cvtepi64_epi32(_mm512_add_epi32(halves, _mm512_srli_epi64(halves, 32)));  // of the groups
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y->start_8),
                        _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(whole, 3)));
    _mm512_storeu_si512(y->start_32, _mm512_sub_epi32(_mm512_set1_epi32(1), _mm512_slli_epi32(halves, 5)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y->start_128),
                        _mm256_sub_epi32(_mm256_set1_epi32(8), _mm256_slli_epi32(whole, 7)));
    const int bits = _mm512_mask_reduce_max_epi32(0xff, _mm512_castsi256_si512(_mm256_castps_si256(block.scale)));
    const __m256 most = _mm256_castsi256_ps(_mm256_set1_epi32(bits));
    const float largest = _mm256_cvtss_f32(most);
    y->scale = largest * (32768.0f / 32767.0f);
    const __mmask8 less = _mm256_cmp_ps_mask(block.scale, most, _CMP_LT_OQ);
    const __m256i all = _mm256_set1_epi32(largest > 0 ? 32767 : 0);
    const __m256i ratio =
        _mm256_mask_cvtps_epi32(all, less, _mm256_mul_ps(_mm256_div_ps(block.scale, most), _mm256_set1_ps(32767.0f)));
    const __m256i product = _mm256_mullo_epi32(whole, ratio);
    const __m256i rounded = _mm256_srai_epi32(_mm256_add_epi32(product, _mm256_set1_epi32(16384)), 15);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y->ratio), _mm256_cvtepi32_epi16(ratio));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y->sum), _mm256_cvtepi32_epi16(rounded));
  }
}

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16) {
  for (size_t k = 0; k < n; k += kBlock) {
    const size_t groups = n - k < kBlock ? (n - k) / kGroup : kGroups;
    const Block block = to_integers(x + k, n - k);
    for (size_t g = 0; g < groups; ++g) store_bytes(block, g, q + k + kGroup * g);
    _mm256_mask_storeu_ps(scale + k / kGroup, static_cast<__mmask8>(first(groups)), block.scale);
    // Each group's two sums side by side, times its scale.
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    const __m512 scales = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(block.scale));
    _mm512_mask_storeu_ps(sum16 + k / 16, first(2 * groups),
                          _mm512_mul_ps(scales, _mm512_cvtepi32_ps(sums_of_halves(block))));
  }
}

}  // namespace kette::kernels::avx512
