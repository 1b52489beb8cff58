// A mixture of experts (Shazeer et al. 2017): x += sum of weight * expert(n) over a token's chosen experts, plus the
// shared expert that all tokens have, where there is one.
#pragma once

#include <optional>
#include <vector>

#include "nn/router.h"
#include "nn/swiglu.h"

namespace kette::nn {

struct Moe {
  Router router;
  std::vector<SwiGlu> experts;  // [router.num_experts()], all of the same sizes
  std::optional<SwiGlu> shared_expert;
  std::optional<Linear> shared_expert_gate;  // [1, hidden_size], for exact mode: sigmoid of it weighs the shared expert

  // normed, x: [rows, hidden_size]. A row's result does not depend on the other rows in exact and deterministic modes.
  void add(Step& step, const Tensor& normed, const Tensor& x) const;

 private:
  // logits [rows, num_experts], shared [rows, 1]
  void route(Step& step, const Tensor& normed, const Tensor& logits, const Tensor& shared, Choice* chosen) const;
};

}  // namespace kette::nn
