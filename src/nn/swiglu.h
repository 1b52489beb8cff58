// The gated feed-forward (Shazeer 2020): x += down(silu(gate(n)) * up(n)).
#pragma once

#include "nn/linear.h"
#include "nn/step.h"

namespace kette::nn {

struct SwiGlu {
  Linear gate_proj, up_proj, down_proj;

  // normed, x: [rows, hidden_size]
  void add(Step& step, const Tensor& normed, const Tensor& x) const;
};

}  // namespace kette::nn
