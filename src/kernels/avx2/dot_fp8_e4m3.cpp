// fp8_e4m3 weights, with a scale for each tile, times f32 activations.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

enum : size_t { kTile = KETTE_TILE, kStep = 16 };

struct Sixteen {
  __m256 v[2];
};

// 2^-8 of sixteen numbers: a byte's exponent and mantissa in those of a half, whose bias is larger by 8. What is not a
// number becomes one (480): `worst` keeps the largest magnitude's byte, to tell.
inline Sixteen widen(const uint8_t* bytes, __m256i& worst) {
  const __m256i twice = _mm256_broadcastsi128_si256(load16(bytes));
  const __m256i upper = _mm256_setr_epi8(-1, 0, -1, 1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1, 7,  //
                                         -1, 8, -1, 9, -1, 10, -1, 11, -1, 12, -1, 13, -1, 14, -1, 15);
  const __m256i signs = _mm256_srai_epi16(_mm256_shuffle_epi8(twice, upper), 1);
  worst = _mm256_max_epu8(worst, _mm256_and_si256(twice, _mm256_set1_epi8(0x7f)));
  const __m256i half = _mm256_and_si256(signs, _mm256_set1_epi16(static_cast<short>(0xbfff)));
  return {{_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))}};
}
inline bool has_nan(__m256i worst) {
  return _mm256_movemask_epi8(_mm256_cmpeq_epi8(worst, _mm256_set1_epi8(0x7f))) != 0;
}

// Rows [row, row + kRows) times activations [column, column + M). Rows beyond the last repeat it and are not stored.
template <int M>
inline void multiply_tile(const DotArgs& a, size_t row, size_t column) {
  const uint8_t* w[kRows];
  const float* scale[kRows];
  // The rows after these are fetched meanwhile (dot.h).
  const char* next = reinterpret_cast<const char*>(a.weight + (row + kRows) * a.row_bytes);
  __m256i worst[kRows];
  __m256 sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r) < a.rows ? row + static_cast<size_t>(r) : a.rows - 1;
    w[r] = a.weight + index * a.row_bytes;
    scale[r] = a.tile_scale == nullptr ? nullptr : a.tile_scale + (a.first_row + index) / kTile * a.tile_stride;
    worst[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sum[r][i] = _mm256_setzero_ps();
  }
  for (size_t k = 0; k < a.k; k += kTile) {
    const size_t n = a.k - k < kTile ? a.k - k : kTile, whole = n / kStep * kStep;
    __m256 part[kRows][M];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) part[r][i] = _mm256_setzero_ps();
    const float* x[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) x[i] = a.x[column + static_cast<size_t>(i)].f32 + k;
    for (size_t j = 0; j < whole; j += kStep) {
      _mm_prefetch(next, _MM_HINT_T1);
      next += kRows * kStep;
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Sixteen weights = widen(w[r] + k + j, worst[r]);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) {
          part[r][i] = _mm256_fmadd_ps(weights.v[0], _mm256_loadu_ps(x[i] + j), part[r][i]);
          part[r][i] = _mm256_fmadd_ps(weights.v[1], _mm256_loadu_ps(x[i] + j + 8), part[r][i]);
        }
      }
    }
    if (whole < n) {
      float rest[M][kStep] = {};
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) memcpy(rest[i], x[i] + whole, (n - whole) * sizeof(float));
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        uint8_t bytes[kStep] = {};
        memcpy(bytes, w[r] + k + whole, n - whole);
        const Sixteen weights = widen(bytes, worst[r]);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) {
          part[r][i] = _mm256_fmadd_ps(weights.v[0], _mm256_loadu_ps(rest[i]), part[r][i]);
          part[r][i] = _mm256_fmadd_ps(weights.v[1], _mm256_loadu_ps(rest[i] + 8), part[r][i]);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256 factor = _mm256_set1_ps(256.0f * (scale[r] == nullptr ? 1.0f : scale[r][k / kTile]));
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = _mm256_fmadd_ps(part[r][i], factor, sum[r][i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    if (index >= a.rows) break;
    const bool nan = has_nan(worst[r]);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] = nan ? __builtin_nanf("") : total(sum[r][i]);
  }
}

}  // namespace

void dot_fp8_e4m3_few(const DotArgs& a) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    size_t column = 0;
    for (; column + 2 <= a.m; column += 2) multiply_tile<2>(a, row, column);
    if (column < a.m) multiply_tile<1>(a, row, column);
  }
}

}  // namespace kette::kernels::avx2
