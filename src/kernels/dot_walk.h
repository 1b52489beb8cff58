// The walk of float formats over weight rows and activations, the same in every instruction set. Internal linkage only:
// each file that includes this is compiled for instructions of its own.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace kette::kernels {
namespace {

// Rows in flight: activations are loaded once for all of them, and the memory streams overlap.
constexpr int kRows = 4;
constexpr size_t kNearBytes = 6 << 10;

// An Isa says
//   Vector, zero(), total(v)   a vector of floats, and the sum of its lanes
//   kMost                      activations at once, 2 or 4
// A Format says how its file's blocks meet an activation:
//   kWeights, kBytes     a step: one or a few blocks
//   X activation(x)      what a step needs of an activation, made once for all rows
//   W unpack(blocks)     what a step needs of a row, made once for all activations
//   add(w, x, sum)       sum + the step's products, lane by lane
// Rows beyond the last repeat it and are not stored, so every row takes the same path.

// The last n < kWeights of an activation, followed by zeros.
template <class Format>
struct Padded {
  float f32[Format::kWeights];

  Activation take(const Activation& x, size_t from, size_t n) {
    memset(this, 0, sizeof(*this));
    memcpy(f32, x.f32 + from, n * sizeof(float));
    return {f32, nullptr, nullptr, nullptr};
  }
};

// Rows [row, row + kRows) times activations [column, column + M).
template <class Isa, class Format, int M>
inline void dot_tile(const DotArgs& a, size_t row, size_t column) {
  const uint8_t* w[kRows];
  // The rows after these are fetched meanwhile, in the order in which they lie: hardware does not follow streams as
  // short as a row. A prefetch beyond the last row is harmless. Long rows would drive each other out of the first level.
  const uint8_t* next = a.weight + (row + kRows) * a.row_bytes;
  const bool near = kRows * a.row_bytes <= kNearBytes;
  typename Isa::Vector sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    w[r] = a.weight + (index < a.rows ? index : a.rows - 1) * a.row_bytes;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sum[r][i] = Isa::zero();
  }
  typename Format::X x[M];
  const size_t whole = a.k / Format::kWeights * Format::kWeights;
  for (size_t k = 0; k < whole; k += Format::kWeights) {
    // Not a function: GCC takes one that only prefetches for one without effect, and drops its calls.
    const char* from = reinterpret_cast<const char*>(next);
    if (near) {
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows * Format::kBytes; i += 64) _mm_prefetch(from + i, _MM_HINT_T0);
    } else {
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows * Format::kBytes; i += 64) _mm_prefetch(from + i, _MM_HINT_T1);
    }
    next += kRows * Format::kBytes;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      x[i] = Format::activation({a.x[column + static_cast<size_t>(i)].f32 + k, nullptr, nullptr, nullptr});
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const typename Format::W unpacked = Format::unpack(w[r]);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = Format::add(unpacked, x[i], sum[r][i]);
      w[r] += Format::kBytes;
    }
  }
  if (whole < a.k) {
    Padded<Format> padded[M];
    for (int i = 0; i < M; ++i)
      x[i] = Format::activation(padded[i].take(a.x[column + static_cast<size_t>(i)], whole, a.k - whole));
    const size_t bytes = a.row_bytes - whole / Format::kWeights * Format::kBytes;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      uint8_t blocks[Format::kBytes] = {};
      memcpy(blocks, w[r], bytes);
      const typename Format::W unpacked = Format::unpack(blocks);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = Format::add(unpacked, x[i], sum[r][i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    if (index >= a.rows) break;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] = Isa::total(sum[r][i]);
  }
}

// tile<M>(row, column) for all rows and activations.
template <class Isa, class Tile>
inline void each_tile(const DotArgs& a, const Tile& tile) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    size_t column = 0;
    for (; column + Isa::kMost <= a.m; column += Isa::kMost) tile.template operator()<Isa::kMost>(row, column);
    if (Isa::kMost > 2 && column + 2 <= a.m) {
      tile.template operator()<2>(row, column);
      column += 2;
    }
    if (column < a.m) tile.template operator()<1>(row, column);
  }
}

template <class Isa, class Format>
inline void dot_rows(const DotArgs& a) {
  each_tile<Isa>(a, [&]<int M>(size_t row, size_t column) { dot_tile<Isa, Format, M>(a, row, column); });
}

}  // namespace
}  // namespace kette::kernels
