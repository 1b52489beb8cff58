// The walk of fp8_e4m3, with a scale for each tile, over weight rows and float activations: the same in every instruction
// set. Internal linkage only: each file that includes this is compiled for instructions of its own.
#pragma once

#include "kernels/dot_walk.h"

namespace kette::kernels {
namespace {

// An Isa (dot_walk.h) says besides:
//   kStep, Weights         so many weights at once, as floats
//   widen(bytes, worst)    2^-8 of the numbers; what is not a number becomes one (480)
//   Worst, none(), has_nan(worst)   the largest magnitudes' bytes so far, to tell
//   add(weights, x, sum)   sum + their products with kStep activations, lane by lane
//   scaled(part, factor, sum)   sum + part * factor

// Rows [row, row + kRows) times activations [column, column + M). Rows beyond the last repeat it and are not stored.
template <class Isa, int M>
inline void dot_fp8_tile(const DotArgs& a, size_t row, size_t column) {
  const uint8_t* w[kRows];
  const float* scale[kRows];
  // The rows after these are fetched meanwhile (dot_walk.h).
  const char* next = reinterpret_cast<const char*>(a.weight + (row + kRows) * a.row_bytes);
  typename Isa::Worst worst[kRows];
  typename Isa::Vector sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r) < a.rows ? row + static_cast<size_t>(r) : a.rows - 1;
    w[r] = a.weight + index * a.row_bytes;
    scale[r] = a.tile_scale == nullptr ? nullptr : a.tile_scale + (a.first_row + index) / KETTE_TILE * a.tile_stride;
    worst[r] = Isa::none();
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sum[r][i] = Isa::zero();
  }
  for (size_t k = 0; k < a.k; k += KETTE_TILE) {
    const size_t n = a.k - k < KETTE_TILE ? a.k - k : KETTE_TILE, whole = n / Isa::kStep * Isa::kStep;
    typename Isa::Vector part[kRows][M];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) part[r][i] = Isa::zero();
    const float* x[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) x[i] = a.x[column + static_cast<size_t>(i)].f32 + k;
    for (size_t j = 0; j < whole; j += Isa::kStep) {
#pragma GCC unroll 2
      for (size_t i = 0; i < kRows * Isa::kStep; i += 64) _mm_prefetch(next + i, _MM_HINT_T1);
      next += kRows * Isa::kStep;
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const typename Isa::Weights weights = Isa::widen(w[r] + k + j, worst[r]);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) part[r][i] = Isa::add(weights, x[i] + j, part[r][i]);
      }
    }
    if (whole < n) {
      float rest[M][Isa::kStep] = {};
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) memcpy(rest[i], x[i] + whole, (n - whole) * sizeof(float));
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        uint8_t bytes[Isa::kStep] = {};
        memcpy(bytes, w[r] + k + whole, n - whole);
        const typename Isa::Weights weights = Isa::widen(bytes, worst[r]);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) part[r][i] = Isa::add(weights, rest[i], part[r][i]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const float factor = 256.0f * (scale[r] == nullptr ? 1.0f : scale[r][k / KETTE_TILE]);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = Isa::scaled(part[r][i], factor, sum[r][i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    if (index >= a.rows) break;
    const bool nan = Isa::has_nan(worst[r]);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] = nan ? __builtin_nanf("") : Isa::total(sum[r][i]);
  }
}

template <class Isa>
inline void dot_fp8(const DotArgs& a) {
  each_tile<Isa>(a, [&]<int M>(size_t row, size_t column) { dot_fp8_tile<Isa, M>(a, row, column); });
}

}  // namespace
}  // namespace kette::kernels
