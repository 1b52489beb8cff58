// DeepSeek-V2, V2-Lite, V2.5, Coder-V2: experts by softmax, of V2 from the groups with the best expert.
// Reference: arXiv 2405.04434, DeepSeek's modeling_deepseek.py.
#include "models/deepseek_decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_deepseek_v2(Binder& b) {
  nn::Routing routing = bind_deepseek_routing(b);
  routing.scores = nn::RouterScores::kSoftmax;
  const std::string scores = b.string("scoring_func", "softmax"), method = b.string("topk_method", "greedy");
  b.require(scores == "softmax", "scoring_func: expected softmax");
  b.require(method == "greedy" || method == "group_limited_greedy",
            "topk_method: expected greedy or group_limited_greedy");
  if (method == "group_limited_greedy") {
    routing.n_group = b.size("n_group", 1, nn::kMaxExpertGroups);
    routing.topk_group = b.size("topk_group", 1, nn::kMaxExpertGroups);
    routing.group_experts = 1;
  }
  // A token's weights are made to sum to one, or scaled, not both.
  if (routing.norm_topk_prob) routing.routed_scaling_factor = 1;
  return bind_deepseek_decoder(b, routing, false);
}

}  // namespace kette
