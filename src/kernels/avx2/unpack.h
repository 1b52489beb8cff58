// Block formats into a float panel: eight rows at a time, in the lanes of a vector. Internal linkage only.
#pragma once

#include "kernels/avx2/codes.h"
#include "kernels/avx2/transpose.h"

namespace kette::kernels::avx2 {
namespace {

constexpr size_t kRows = 8, kGroup = 32, kStep = 256, kWidth = KETTE_PANEL_WIDTH;

// Eight rows of a panel. Rows beyond the last repeat it, so that all take the same path, and are cleared in the end.
struct Eight {
  const uint8_t* at[kRows];
  float* panel;  // their first column

  Eight(const UnpackArgs& a, size_t row) : panel(static_cast<float*>(a.panel) + row) {
    for (size_t r = 0; r < kRows; ++r) at[r] = a.weight + (row + r < a.rows ? row + r : a.rows - 1) * a.row_bytes;
  }
  void advance(size_t bytes) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) at[r] += bytes;
  }
  // The numbers behind the stored ones, and the columns from `rows` on.
  void clear(const UnpackArgs& a, size_t rows) const {
    for (size_t k = a.n; k < a.depth; ++k) _mm256_store_ps(panel + k * kWidth, _mm256_setzero_ps());
    if (rows >= kRows) return;
    for (size_t k = 0; k < a.n; ++k) memset(panel + k * kWidth + rows, 0, (kRows - rows) * sizeof(float));
  }
};

// The half at `at` of each row.
inline __m256 halves(const uint8_t* const* rows, size_t at) {
  alignas(16) uint16_t half[kRows];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) memcpy(&half[r], rows[r] + at, 2);
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(half)));
}

// The factors of up to 256 numbers of each row: f[i] lane r is factor i of row r, see codes.h.
template <class Format>
inline void load_factors(const uint8_t* const* rows, size_t blocks, __m256* f) {
  if constexpr (Format::kNumbers == kGroup) {
    for (size_t b = 0; b < blocks; ++b) {
      f[b] = halves(rows, b * Format::kBytes);
      if (Format::kOffsets) f[8 + b] = halves(rows, b * Format::kBytes + 2);
    }
  } else {
    alignas(32) float row[kRows][16];
    for (size_t r = 0; r < kRows; ++r) Format::factors(rows[r], row[r]);
    for (size_t half = 0; half < (Format::kOffsets || Format::kRun == 16 ? 2 : 1); ++half) {
      __m256i v[8];
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) v[r] = _mm256_castps_si256(_mm256_load_ps(row[r] + 8 * half));
      transpose(v);
#pragma GCC unroll 8
      for (size_t i = 0; i < 8; ++i) f[8 * half + i] = _mm256_castsi256_ps(v[i]);
    }
  }
}

// Codes of 32 numbers: v[r] those of row r. step and step2: of the first and of the last 16.
template <class Format>
inline void put(__m256i* v, __m256 step, __m256 step2, __m256 offset, float* panel) {
  transpose(v);  // v[j] lane r: numbers 4j to 4j + 3 of row r
  // A code comes in the top byte: 2^24 times itself.
  const __m256i top = _mm256_set1_epi32(static_cast<int>(0xff000000));
  step = _mm256_mul_ps(step, _mm256_set1_ps(0x1p-24f));
  step2 = _mm256_mul_ps(step2, _mm256_set1_ps(0x1p-24f));
#pragma GCC unroll 8
  for (size_t j = 0; j < 8; ++j) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      const __m256i code = _mm256_and_si256(_mm256_slli_epi32(v[j], static_cast<int>(24 - 8 * i)), top);
      const __m256 x = _mm256_cvtepi32_ps(code), by = Format::kRun == 16 && j >= 4 ? step2 : step;
      const __m256 number = Format::kOffsets ? _mm256_fmadd_ps(x, by, offset) : _mm256_mul_ps(x, by);
      _mm256_store_ps(panel + (4 * j + i) * kWidth, number);
    }
  }
}

template <class Format>
inline void unpack_codes(const UnpackArgs& a) {
  constexpr bool kSmall = Format::kNumbers == kGroup;
  const size_t columns = (a.rows + 15) / 16 * 16;
  for (size_t row = 0; row < columns; row += kRows) {
    Eight rows(a, row);
    for (size_t k = 0; k < a.n && row < a.rows; k += kStep) {
      const size_t groups = (a.n - k < kStep ? a.n - k : kStep) / kGroup;
      __m256 f[16];
      load_factors<Format>(rows.at, groups, f);
      for (size_t g = 0; g < groups; ++g) {
        __m256i v[kRows];
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r)
          v[r] = kSmall ? Format::codes(rows.at[r] + g * Format::kBytes, 0) : Format::codes(rows.at[r], g);
        float* panel = rows.panel + (k + kGroup * g) * kWidth;
        if (Format::kRun == 16)
          put<Format>(v, f[2 * g], f[2 * g + 1], _mm256_setzero_ps(), panel);
        else
          put<Format>(v, f[g], f[g], Format::kOffsets ? f[8 + g] : _mm256_setzero_ps(), panel);
      }
      rows.advance((kSmall ? groups : 1) * Format::kBytes);
    }
    rows.clear(a, row < a.rows ? a.rows - row : 0);
  }
}

}  // namespace
}  // namespace kette::kernels::avx2
