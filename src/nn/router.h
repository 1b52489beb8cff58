// Which experts a token goes to and how much each counts: scores of all experts -> the best few, weighed.
// (Shazeer et al. 2017; groups: DeepSeek-V2 2.2.2; sigmoid scores and the correction bias: DeepSeek-V3 2.1.2)
#pragma once

#include <cstdint>
#include <vector>

#include "nn/linear.h"

namespace kette::nn {

enum class RouterScores { kSoftmax, kSigmoid };

struct Routing {
  size_t num_experts_per_tok = 1;
  RouterScores scores = RouterScores::kSoftmax;
  // Only experts of the topk_group best of n_group equal groups are chosen; a group is as good as the sum of its
  // `group_experts` best experts.
  size_t n_group = 1, topk_group = 1, group_experts = 1;
  bool norm_topk_prob = false;  // weights of a token are divided by their sum, plus norm_epsilon
  float norm_epsilon = 0;
  float routed_scaling_factor = 1;
};

inline constexpr size_t kMaxExperts = 1024;
inline constexpr size_t kMaxExpertGroups = 64;

struct Choice {
  uint32_t expert;
  float weight;
};

struct Router {
  Linear gate;  // [num_experts, hidden_size], made for exact mode: a rounded activation would choose other experts
  std::vector<float> e_score_correction_bias;  // [num_experts], or empty: added to choose, not to weigh
  Routing routing;

  size_t num_experts() const { return gate.out(); }

  // logits: [num_experts] -> chosen [num_experts_per_tok], different experts, the best first; of equals the first. Not
  // a number ranks above all numbers, as in the reference: such a token stays visibly broken.
  void choose(const float* logits, Choice* chosen) const;
};

}  // namespace kette::nn
