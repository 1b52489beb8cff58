// What attention does with rows' scores and sums, whatever it multiplies. Internal linkage only.
#pragma once

#include "kernels/attend_walk.h"
#include "kernels/avx512/floats.h"
#include "kernels/avx512/fold.h"

namespace kette::kernels::avx512 {
namespace {

// -> score [R][kBlock]
template <int R>
inline __attribute__((always_inline)) void put_scores(const __m512 (&sum)[R][2], float* score) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    _mm512_store_ps(score + r * kBlock, sum[r][0]);
    _mm512_store_ps(score + r * kBlock + 16, sum[r][1]);
  }
}

// R rows' scores of a block, of which n[r] count and others weigh nothing, become weights: store(r, those of positions 0 to
// 15, of 16 to 31). largest and sum are the rows' so far, which with what was added by them is to be multiplied by shrink.
// score: [R][kBlock]
template <int R, size_t kTerms, class Store>
inline void soften(const float* score, const size_t* n, float scale, float* largest, float* sum, float* shrink,
                   const Store& store) {
  const __mmask8 rows = static_cast<__mmask8>((1u << R) - 1u);
  const __m512 floor = _mm512_set1_ps(-__builtin_inff()), scales = _mm512_set1_ps(scale);
  const auto join = [](__m512i a, __m512i b) {
    return _mm512_castps_si512(_mm512_max_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  };
  const auto add = [](__m512i a, __m512i b) {
    return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  };
  const auto seen = [=](int r, size_t half) { return first(n[r] > 16 * half ? n[r] - 16 * half : 0); };
  const auto scaled = [=](int r, size_t half) __attribute__((always_inline)) {
    return _mm512_mask_mul_ps(floor, seen(r, half), _mm512_load_ps(score + r * kBlock + 16 * half), scales);
  };
  __m512i all[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) all[r] = _mm512_castps_si512(r < R ? _mm512_max_ps(scaled(r, 0), scaled(r, 1)) : floor);
  const __m256 before = _mm256_maskz_loadu_ps(rows, largest);
  const __m256 now = _mm256_max_ps(_mm256_castsi256_ps(fold(all, join)), before);
  const __m512 base = _mm512_castps256_ps512(now);
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) {
    all[r] = _mm512_setzero_si512();
    if (r >= R) continue;
    const __m512 most = _mm512_permutexvar_ps(_mm512_set1_epi32(r), base);
    const auto weigh = [=](size_t half) __attribute__((always_inline)) {
      return _mm512_maskz_mov_ps(seen(r, half), exponential<kTerms>(_mm512_sub_ps(scaled(r, half), most)));
    };
    const __m512 low = weigh(0), high = weigh(1);
    all[r] = _mm512_castps_si512(_mm512_add_ps(low, high));
    store(r, low, high);
  }
  // e^0 is 1 to the bit, and so it shall be where a row has seen nothing yet.
  const __mmask8 same = _mm256_cmp_ps_mask(now, before, _CMP_EQ_OQ);
  const __m256 less = _mm512_castps512_ps256(exponential(_mm512_castps256_ps512(_mm256_sub_ps(before, now))));
  const __m256 factor = _mm256_mask_mov_ps(less, same, _mm256_set1_ps(1.0f));
  const __m256 added = _mm256_castsi256_ps(fold(all, add));
  _mm256_mask_storeu_ps(sum, rows, _mm256_fmadd_ps(_mm256_maskz_loadu_ps(rows, sum), factor, added));
  _mm256_mask_storeu_ps(largest, rows, now);
  _mm256_mask_storeu_ps(shrink, rows, factor);
}

// The sums of R rows' C vectors from column d on, of the last of which `last` numbers are there: out[r] * shrink[r] ..
template <int R, int C>
inline __attribute__((always_inline)) void take_sums(const float* out, size_t out_stride, size_t d, size_t last,
                                                     const float* shrink, __m512 (&sum)[R][C]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const float* p = out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(16 * c);
      sum[r][c] = _mm512_mul_ps(_mm512_maskz_loadu_ps(first(c == C - 1 ? last : 16), p), _mm512_set1_ps(shrink[r]));
    }
  }
}

// .. and back to out.
template <int R, int C>
inline __attribute__((always_inline)) void put_sums(const __m512 (&sum)[R][C], size_t d, size_t last, float* out,
                                                    size_t out_stride) {
  __asm__("" : "+r"(out), "+r"(out_stride));  // or GCC keeps addresses in registers, and so sums and values in memory
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
      _mm512_mask_storeu_ps(out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(16 * c),
                            first(c == C - 1 ? last : 16), sum[r][c]);
  }
}

inline void multiply(float* out, size_t n, float factor) {
  for (size_t d = 0; d < n; d += 16) {
    const __mmask16 mask = first(n - d);
    _mm512_mask_storeu_ps(out + d, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, out + d), _mm512_set1_ps(factor)));
  }
}

}  // namespace
}  // namespace kette::kernels::avx512
