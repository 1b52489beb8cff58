// fp8_e4m3 weights, with a scale for each tile, times f32 activations.
#include "kernels/avx512/dot.h"

namespace kette::kernels::avx512 {
namespace {

enum : size_t { kTile = KETTE_TILE, kStep = 32 };

struct Thirty2 {
  __m512 v[2];
};

// 2^-8 of the numbers: a byte's exponent and mantissa in those of a half, whose bias is larger by 8. What is not a number
// becomes one (480): `worst` keeps the largest magnitude's byte, to tell.
inline Thirty2 widen(__m256i bytes, __m256i& worst) {
  worst = _mm256_max_epu8(worst, _mm256_and_si256(bytes, _mm256_set1_epi8(0x7f)));
  const __m512i signs = _mm512_srai_epi16(_mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8), 1);
  const __m512i half = _mm512_and_si512(signs, _mm512_set1_epi16(static_cast<short>(0xbfff)));
  return {{_mm512_cvtph_ps(_mm512_castsi512_si256(half)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(half, 1))}};
}
inline bool has_nan(__m256i worst) { return _mm256_cmpeq_epi8_mask(worst, _mm256_set1_epi8(0x7f)) != 0; }

// Rows [row, row + kRows) times activations [column, column + M). Rows beyond the last repeat it and are not stored.
template <int M>
inline void multiply_tile(const DotArgs& a, size_t row, size_t column) {
  const uint8_t* w[kRows];
  const float* scale[kRows];
  // The rows after these are fetched meanwhile (dot.h).
  const char* next = reinterpret_cast<const char*>(a.weight + (row + kRows) * a.row_bytes);
  __m256i worst[kRows];
  __m512 sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r) < a.rows ? row + static_cast<size_t>(r) : a.rows - 1;
    w[r] = a.weight + index * a.row_bytes;
    scale[r] = a.tile_scale == nullptr ? nullptr : a.tile_scale + (a.first_row + index) / kTile * a.tile_stride;
    worst[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sum[r][i] = _mm512_setzero_ps();
  }
  for (size_t k = 0; k < a.k; k += kTile) {
    const size_t n = a.k - k < kTile ? a.k - k : kTile, whole = n / kStep * kStep;
    __m512 part[kRows][M];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) part[r][i] = _mm512_setzero_ps();
    const float* x[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) x[i] = a.x[column + static_cast<size_t>(i)].f32 + k;
    for (size_t j = 0; j < whole; j += kStep) {
      _mm_prefetch(next, _MM_HINT_T1);
      _mm_prefetch(next + 64, _MM_HINT_T1);
      next += kRows * kStep;
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Thirty2 weights = widen(load32(w[r] + k + j), worst[r]);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) {
          part[r][i] = _mm512_fmadd_ps(weights.v[0], _mm512_loadu_ps(x[i] + j), part[r][i]);
          part[r][i] = _mm512_fmadd_ps(weights.v[1], _mm512_loadu_ps(x[i] + j + 16), part[r][i]);
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
        const Thirty2 weights = widen(load32(bytes), worst[r]);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) {
          part[r][i] = _mm512_fmadd_ps(weights.v[0], _mm512_loadu_ps(rest[i]), part[r][i]);
          part[r][i] = _mm512_fmadd_ps(weights.v[1], _mm512_loadu_ps(rest[i] + 16), part[r][i]);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m512 factor = _mm512_set1_ps(256.0f * (scale[r] == nullptr ? 1.0f : scale[r][k / kTile]));
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = _mm512_fmadd_ps(part[r][i], factor, sum[r][i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    if (index >= a.rows) break;
    const bool nan = has_nan(worst[r]);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] =
          nan ? __builtin_nanf("") : _mm512_reduce_add_ps(sum[r][i]);
  }
}

}  // namespace

void dot_fp8_e4m3_few(const DotArgs& a) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    size_t column = 0;
    for (; column + 4 <= a.m; column += 4) multiply_tile<4>(a, row, column);
    if (column + 2 <= a.m) {
      multiply_tile<2>(a, row, column);
      column += 2;
    }
    if (column < a.m) multiply_tile<1>(a, row, column);
  }
}

}  // namespace kette::kernels::avx512
