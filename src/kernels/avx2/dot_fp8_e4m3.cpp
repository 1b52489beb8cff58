// fp8_e4m3 weights, with a scale for each tile, times f32 activations.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

enum : size_t { kTile = KETTE_TILE, kStep = 16 };

struct Sixteen {
  __m256 v[2];
};

// 2^-8 of the numbers: a byte's exponent and mantissa in those of a half, whose bias is larger by 8.
inline Sixteen widen(__m128i bytes) {
  const __m256i wide = _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), 8);
  __m256i half = _mm256_and_si256(_mm256_srai_epi16(wide, 1), _mm256_set1_epi16(static_cast<short>(0xbfff)));
  // Not a number: all of the half's exponent.
  const __m256i magnitude = _mm256_and_si256(half, _mm256_set1_epi16(0x3fff));
  const __m256i nan = _mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x3f80));
  half = _mm256_or_si256(half, _mm256_and_si256(nan, _mm256_set1_epi16(0x4000)));
  return {{_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))}};
}

// Rows [row, row + kRows) times activations [column, column + M). Rows beyond the last repeat it and are not stored.
template <int M>
inline void multiply_tile(const DotArgs& a, size_t row, size_t column) {
  const uint8_t* w[kRows];
  const float* scale[kRows];
  __m256 sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r) < a.rows ? row + static_cast<size_t>(r) : a.rows - 1;
    w[r] = a.weight + index * a.row_bytes;
    scale[r] = a.tile_scale == nullptr ? nullptr : a.tile_scale + (a.first_row + index) / kTile * a.tile_stride;
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
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Sixteen weights = widen(load16(w[r] + k + j));
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
        const Sixteen weights = widen(load16(bytes));
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
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] = total(sum[r][i]);
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
