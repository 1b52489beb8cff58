// DeepSeek-V3, R1, V3.1: experts by sigmoid scores, chosen with a correction bias from the groups whose two best
// experts are best (noaux_tc). Reference: arXiv 2412.19437, transformers modeling_deepseek_v3.py.
#include "models/deepseek_decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_deepseek_v3(Binder& b) {
  nn::Routing routing = bind_deepseek_routing(b);
  routing.scores = nn::RouterScores::kSigmoid;
  b.require(b.string("scoring_func", "sigmoid") == "sigmoid", "scoring_func: expected sigmoid");
  b.require(b.string("topk_method", "noaux_tc") == "noaux_tc", "topk_method: expected noaux_tc");
  routing.n_group = b.size("n_group", 1, nn::kMaxExpertGroups, 1);
  routing.topk_group = b.size("topk_group", 1, nn::kMaxExpertGroups, 1);
  routing.group_experts = 2;
  return bind_deepseek_decoder(b, routing, true);
}

}  // namespace kette
