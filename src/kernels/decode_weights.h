// Weights of any format, through its decoder: the same in every instruction set. Internal linkage only: each file that
// includes this is compiled for instructions of its own.
#pragma once

#include "kernels/kernel_table.h"

namespace kette::kernels {
namespace {

// Numbers [k, k + n) of a row of dot's or unpack's arguments, times the factors of their tiles; k is a multiple of the
// format's block. The row begins at number `first_column` of the whole weight's.
template <class Args>
inline void decode_weights(const Args& a, size_t row, size_t k, size_t n, size_t first_column, float* out) {
  const uint8_t* blocks = a.weight + row * a.row_bytes + k / a.block_size * a.block_bytes;
  a.decode(reinterpret_cast<const std::byte*>(blocks), out, n);
  if (a.tile_scale == nullptr) return;
  const float* scale = a.tile_scale + (a.first_row + row) / KETTE_TILE * a.tile_stride;
  for (size_t i = 0; i < n; ++i) out[i] *= scale[(first_column + k + i) / KETTE_TILE];
}

}  // namespace
}  // namespace kette::kernels
