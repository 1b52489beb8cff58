// Token -> its row of the embedding matrix, in float.
#pragma once

#include <cstdint>
#include <span>

#include "nn/linear.h"

namespace kette::nn {

struct Embedding {
  Weight weight;  // [vocab_size, hidden_size]

  // x: [tokens.size(), hidden_size]; every token is below vocab_size.
  void operator()(Step& step, std::span<const int32_t> tokens, const Tensor& x) const {
    const Phase phase(step.profile, "embed");
    step.parallel_rows(tokens.size(), 16, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) weight.decode(static_cast<size_t>(tokens[i]), 0, weight.cols, x.row(i));
    });
  }
};

}  // namespace kette::nn
