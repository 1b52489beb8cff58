// y = x * W^T + b: a weight as it lies in the file, with the kernels chosen for it once, at load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "nn/step.h"
#include "nn/tensor.h"
#include "quant/format.h"

namespace kette::nn {

// A matrix in its stored format. The bytes belong to the model.
struct Weight {
  static constexpr size_t kTile = KETTE_TILE;

  const Format* format = nullptr;
  const std::byte* data = nullptr;  // [rows][format->row_bytes(cols)]
  size_t rows = 0, cols = 0;
  // A factor for each tile of kTile x kTile numbers, those at the edges partial: [ceil(rows / kTile)][tile_cols()].
  // nullptr: none.
  const float* tile_scale = nullptr;
  size_t first_row = 0;  // of the matrix that the tiles are of, where this is a stretch of its rows

  const std::byte* row(size_t i) const { return data + i * format->row_bytes(cols); }
  size_t tile_cols() const { return (cols + kTile - 1) / kTile; }
  // Rows [first, first + n).
  Weight slice(size_t first, size_t n) const { return {format, row(first), n, cols, tile_scale, first_row + first}; }
  // Numbers [from, from + n) of a row, both multiples of the format's block. All that reads a weight as floats, but for
  // the kernels, goes through this; tests hold those to it.
  void decode(size_t row, size_t from, size_t n, float* out) const;
  // What a dot kernel must know of rows [first, first + n); the caller adds x, m and y.
  kernels::DotArgs dot_args(size_t first, size_t n) const;
  // The same for an unpack kernel, of numbers [from, from + n) of rows [first, first + rows): the caller adds the panel.
  kernels::UnpackArgs unpack_args(size_t first, size_t rows, size_t from, size_t n) const;
};

struct Linear {
  static constexpr uint32_t kUnnamed = UINT32_MAX;

  Weight weight;                               // [out, in]
  std::vector<float> bias;                     // [out], or empty
  const kernels::DotRow* dot = nullptr;        // for few rows, and in deterministic mode for any number
  const kernels::UnpackRow* unpack = nullptr;  // fills the panels
  kernels::PanelMultiply* panel = nullptr;     // and multiplies by them
  size_t panel_from = 0;                       // in fast mode: so many rows or more
  uint32_t id = kUnnamed;                      // among the model's matrices that adapters know by name

  size_t in() const { return weight.cols; }
  size_t out() const { return weight.rows; }
};

// Up to this many rows, dot kernels that read each weight once per row beat unpacking it for all of them. So many give
// each row the same bits as alone, in every mode.
inline constexpr size_t kFewRows = 8;

// So many or more: from one row more on, how a product is taken, and so its sums, no longer depend on their number.
size_t few_rows(const kernels::Kernels& kernels);

Linear make_linear(const Weight& weight, std::vector<float> bias, const kernels::Kernels& kernels, Mode mode);

// y = linear(x), or y = silu(gate(x)) * linear(x) where there is a gate, of linear's shape. What the step's adapters add
// is part of linear(x) and gate(x).
struct Product {
  const Linear* linear;
  Tensor x;  // [rows, linear->in()]
  Tensor y;  // [rows, linear->out()]
  const Linear* gate = nullptr;
};

// Every product, as one parallel stretch of work. An input that several of them share (the same data and rows) is
// rounded and packed once.
void multiply(Step& step, std::span<const Product> products);

// y += x, row by row.
void add_rows(Step& step, const Tensor& x, const Tensor& y);

}  // namespace kette::nn
