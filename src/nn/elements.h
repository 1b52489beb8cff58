// Sums over rows of floats outside the kernels. In blocks of a size that compilers know, through a copy that aliases
// nothing: so they make vector code of them, with the bits of plain loops.
#pragma once

#include <cstddef>

namespace kette::nn {

// y[i] = f(x[i], y[i])
template <class F>
void for_elements(const float* x, size_t n, float* y, F&& f) {
  constexpr size_t kBlock = 16;
  size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    float block[kBlock];
    for (size_t j = 0; j < kBlock; ++j) block[j] = f(x[i + j], y[i + j]);
    for (size_t j = 0; j < kBlock; ++j) y[i + j] = block[j];
  }
  for (; i < n; ++i) y[i] = f(x[i], y[i]);
}

// y += factor * x
inline void add_scaled(const float* x, float factor, size_t n, float* y) {
  for_elements(x, n, y, [factor](float from, float to) { return to + factor * from; });
}

}  // namespace kette::nn
