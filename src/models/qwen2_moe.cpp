// Qwen1.5-MoE and Qwen2-MoE: Qwen2 with experts, and a shared expert behind a gate of its own.
// Reference: transformers modeling_qwen2_moe.py.
#include "models/bind_moe.h"
#include "models/decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_qwen2_moe(Binder& b) {
  b.require(!b.boolean("use_sliding_window", false), "use_sliding_window: true, expected false");
  const GqaSizes gqa = bind_gqa_sizes(b);
  const MoeSizes sizes = {gqa.hidden_size, b.size("num_experts", 1, nn::kMaxExperts),
                          b.size("moe_intermediate_size", 1, 1 << 20)};
  const nn::Routing routing = {.num_experts_per_tok = b.size("num_experts_per_tok", 1, nn::kMaxExperts),
                               .scores = nn::RouterScores::kSoftmax,
                               .norm_topk_prob = b.boolean("norm_topk_prob", false)};
  const size_t shared_intermediate_size = b.size("shared_expert_intermediate_size", 1, 1 << 20);
  const size_t intermediate_size = b.size("intermediate_size", 1, 1 << 20);
  const std::vector<bool> sparse = bind_sparse_layers(b);

  const auto moe = [&](const std::string& prefix) {
    nn::Moe m = bind_moe(b, prefix, sizes, routing);
    m.shared_expert = bind_swiglu(b, prefix + ".shared_expert", gqa.hidden_size, shared_intermediate_size);
    m.shared_expert_gate = b.exact_linear(prefix + ".shared_expert_gate", 1, gqa.hidden_size);
    return m;
  };
  DecoderParts parts(gqa);
  parts.self_attn = [&](const std::string& prefix) { return bind_gqa(b, prefix, gqa, {.qkv_bias = Bias::kYes}); };
  parts.mlp = [&](const std::string& prefix, size_t layer) -> nn::FeedForward {
    if (sparse[layer]) return moe(prefix);
    return bind_swiglu(b, prefix, gqa.hidden_size, intermediate_size);
  };
  return bind_decoder(b, parts);
}

}  // namespace kette
