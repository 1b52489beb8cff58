#include "models/deepseek_decoder.h"

#include "models/mla.h"

namespace kette {

nn::Routing bind_deepseek_routing(Binder& b) {
  nn::Routing r;
  r.num_experts_per_tok = b.size("num_experts_per_tok", 1, nn::kMaxExperts);
  r.norm_topk_prob = b.boolean("norm_topk_prob", false);
  r.norm_epsilon = 1e-20f;
  r.routed_scaling_factor = static_cast<float>(b.real("routed_scaling_factor", 0, 1e6, 1.0));
  return r;
}

Result<std::unique_ptr<Model>> bind_deepseek_decoder(Binder& b, const nn::Routing& routing, bool corrected) {
  const MlaSizes mla = bind_mla_sizes(b);
  const MoeSizes sizes = {mla.hidden_size, b.size("n_routed_experts", 1, nn::kMaxExperts),
                          b.size("moe_intermediate_size", 1, 1 << 20)};
  const size_t shared = b.size("n_shared_experts", 0, 1024, 0);
  const size_t intermediate_size = b.size("intermediate_size", 1, 1 << 20);
  const size_t first_k_dense_replace = b.size("first_k_dense_replace", 0, 1024, 0);
  const size_t moe_layer_freq = std::max<size_t>(1, b.size("moe_layer_freq", 1, 1024, 1));

  const auto moe = [&](const std::string& prefix) {
    nn::Moe m = bind_moe(b, prefix, sizes, routing);
    if (corrected)
      m.router.e_score_correction_bias = b.vector(prefix + ".gate.e_score_correction_bias", sizes.num_experts);
    // The shared experts of a layer are stored as one, so many times as wide.
    if (shared > 0)
      m.shared_expert =
          bind_swiglu(b, prefix + ".shared_experts", mla.hidden_size, shared * sizes.moe_intermediate_size);
    return m;
  };
  DecoderParts parts;
  parts.hidden_size = mla.hidden_size;
  parts.kv_heads = 1;  // all heads share the latent and the rotary key; values are made of the latent
  parts.key_dim = mla.kv_lora_rank + mla.qk_rope_head_dim;
  parts.rotary_dim = mla.qk_rope_head_dim;
  parts.looks_ahead = b.has_tensor(fmt::format("model.layers.{}.eh_proj.weight", b.size("num_hidden_layers", 1, 1024)));
  parts.self_attn = [&](const std::string& prefix) { return bind_mla(b, prefix, mla); };
  parts.mlp = [&](const std::string& prefix, size_t layer) -> nn::FeedForward {
    if (layer >= first_k_dense_replace && layer % moe_layer_freq == 0) return moe(prefix);
    return bind_swiglu(b, prefix, mla.hidden_size, intermediate_size);
  };
  return bind_decoder(b, parts);
}

}  // namespace kette
