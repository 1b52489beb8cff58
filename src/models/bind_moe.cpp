#include "models/bind_moe.h"

namespace kette {
namespace {

void check_routing(Binder& b, const nn::Routing& r, size_t num_experts) {
  b.require(r.n_group >= 1 && r.n_group <= nn::kMaxExpertGroups && num_experts % r.n_group == 0,
            fmt::format("n_group: {}, expected a divisor of the {} experts, at most {}", r.n_group, num_experts,
                        nn::kMaxExpertGroups));
  const size_t group = num_experts / std::max<size_t>(1, r.n_group);
  b.require(r.topk_group >= 1 && r.topk_group <= r.n_group && r.group_experts <= group,
            fmt::format("topk_group: {}, expected 1 to n_group {}, in groups of at least {} experts", r.topk_group,
                        r.n_group, r.group_experts));
  b.require(r.num_experts_per_tok >= 1 && r.num_experts_per_tok <= r.topk_group * group,
            fmt::format("num_experts_per_tok: {}, expected 1 to {}", r.num_experts_per_tok, r.topk_group * group));
}

}  // namespace

nn::Moe bind_moe(Binder& b, const std::string& prefix, const MoeSizes& s, const nn::Routing& routing) {
  check_routing(b, routing, s.num_experts);
  nn::Moe moe;
  moe.router.gate = b.exact_linear(prefix + ".gate", s.num_experts, s.hidden_size);
  moe.router.routing = routing;
  const std::string experts = prefix + ".experts.";
  const auto gate = b.linears(experts, "gate_proj", s.num_experts, s.moe_intermediate_size, s.hidden_size);
  const auto up = b.linears(experts, "up_proj", s.num_experts, s.moe_intermediate_size, s.hidden_size);
  const auto down = b.linears(experts, "down_proj", s.num_experts, s.hidden_size, s.moe_intermediate_size);
  for (size_t i = 0; i < s.num_experts; ++i) moe.experts.push_back({gate[i], up[i], down[i]});
  return moe;
}

std::vector<bool> bind_sparse_layers(Binder& b) {
  std::vector<bool> sparse(b.size("num_hidden_layers", 1, 1024));
  const size_t step = std::max<size_t>(1, b.size("decoder_sparse_step", 1, 1024, 1));
  for (size_t i = 0; i < sparse.size(); ++i) sparse[i] = (i + 1) % step == 0;
  for (const size_t i : b.sizes("mlp_only_layers", 0, 1 << 20))
    if (i < sparse.size()) sparse[i] = false;
  return sparse;
}

}  // namespace kette
