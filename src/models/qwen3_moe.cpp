// Qwen3-MoE: Qwen3 with experts. Reference: transformers modeling_qwen3_moe.py.
#include "models/bind_moe.h"
#include "models/decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_qwen3_moe(Binder& b) {
  b.require(!b.boolean("use_sliding_window", false), "use_sliding_window: true, expected false");
  const GqaSizes gqa = bind_gqa_sizes(b);
  const Bias bias = bind_attention_bias(b);
  const MoeSizes sizes = {gqa.hidden_size, b.size("num_experts", 1, nn::kMaxExperts),
                          b.size("moe_intermediate_size", 1, 1 << 20)};
  const nn::Routing routing = {.num_experts_per_tok = b.size("num_experts_per_tok", 1, nn::kMaxExperts),
                               .scores = nn::RouterScores::kSoftmax,
                               .norm_topk_prob = b.boolean("norm_topk_prob", false)};
  const size_t intermediate_size = b.size("intermediate_size", 1, 1 << 20);
  const std::vector<bool> sparse = bind_sparse_layers(b);
  DecoderParts parts(gqa);
  parts.self_attn = [&](const std::string& prefix) { return bind_gqa(b, prefix, gqa, {bias, bias, QkNorm::kYes}); };
  parts.mlp = [&](const std::string& prefix, size_t layer) -> nn::FeedForward {
    if (sparse[layer]) return bind_moe(b, prefix, sizes, routing);
    return bind_swiglu(b, prefix, gqa.hidden_size, intermediate_size);
  };
  return bind_decoder(b, parts);
}

}  // namespace kette
