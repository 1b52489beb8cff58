// y = x / sqrt(mean(x^2) + eps) * weight, row by row. (Zhang & Sennrich 2019)
#pragma once

#include <vector>

#include "nn/step.h"

namespace kette::nn {

struct RmsNorm {
  std::vector<float> weight;  // [hidden_size]
  float eps = 0;

  void operator()(Step& step, const Tensor& x, const Tensor& y) const {
    const Phase phase(step.profile, "norm");
    step.parallel_rows(x.rows, 8, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) step.vector().rms_norm(x.row(i), weight.data(), eps, x.cols, y.row(i));
    });
  }
};

}  // namespace kette::nn
