// A view of float rows.
#pragma once

#include <cstddef>

namespace kette::nn {

// [rows][stride], of which each row's first `cols` count.
struct Tensor {
  float* data = nullptr;
  size_t rows = 0, cols = 0, stride = 0;

  float* row(size_t i) const { return data + i * stride; }
  Tensor slice(size_t first, size_t n) const { return {row(first), n, cols, stride}; }
};

}  // namespace kette::nn
