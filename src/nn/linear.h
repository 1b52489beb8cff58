// y = x * W^T + b: a weight as it lies in the file, with the kernels chosen for it once, at load.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "nn/step.h"
#include "nn/tensor.h"
#include "quant/format.h"

namespace kette::nn {

// A matrix in its stored format. The bytes belong to the model.
struct Weight {
  const Format* format = nullptr;
  const std::byte* data = nullptr;  // [rows][format->row_bytes(cols)]
  size_t rows = 0, cols = 0;

  const std::byte* row(size_t i) const { return data + i * format->row_bytes(cols); }
};

struct Linear {
  Weight weight;            // [out, in]
  std::vector<float> bias;  // [out], or empty
  const kernels::DotRow* dot = nullptr;         // for few rows
  kernels::PanelMultiply* panel = nullptr;      // for many

  size_t in() const { return weight.cols; }
  size_t out() const { return weight.rows; }
};

// Up to this many rows, dot kernels that read each weight once per row beat decoding it into a panel.
inline constexpr size_t kFewRows = 8;

Linear make_linear(const Weight& weight, std::vector<float> bias, const kernels::Kernels& kernels, Mode mode);

// y = linear(x), or y = silu(gate(x)) * linear(x) where there is a gate, of linear's shape.
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
