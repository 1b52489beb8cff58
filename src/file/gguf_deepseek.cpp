#include "file/gguf_deepseek.h"

#include <algorithm>

namespace kette {
namespace {

std::string key(std::string_view name) { return "deepseek2." + std::string(name); }

Result<int64_t> positive(const Gguf& gguf, std::string_view name) {
  const auto value = gguf.integer(key(name));
  if (!value || *value < 1 || *value > INT32_MAX)
    return error(Code::kCorrupt, "{}: expected a positive integer", key(name));
  return *value;
}

// Files of 2025 and later describe attention over the latents (one head of kv_lora_rank + rope) and give a head's own
// widths beside it; older ones give the head's.
Result<int64_t> head_width(const Gguf& gguf, std::string_view name) {
  const std::string own = std::string(name) + "_mla";
  return positive(gguf, gguf.has(key(own)) ? own : name);
}

}  // namespace

std::string_view deepseek2_architecture(const Gguf& gguf) {
  const auto tensors = gguf.tensors();
  const bool corrected = std::any_of(tensors.begin(), tensors.end(),
                                     [](const GgufTensor& t) { return t.name.ends_with(".exp_probs_b.bias"); });
  return corrected || gguf.integer(key("expert_gating_func")).value_or(1) == 2 ? "DeepseekV3ForCausalLM"
                                                                               : "DeepseekV2ForCausalLM";
}

Status set_deepseek2(const Gguf& gguf, Config& config) {
  KETTE_ASSIGN(const int64_t heads, positive(gguf, "attention.head_count"));
  KETTE_ASSIGN(const int64_t latent, positive(gguf, "attention.kv_lora_rank"));
  KETTE_ASSIGN(const int64_t rope, positive(gguf, "rope.dimension_count"));
  KETTE_ASSIGN(const int64_t head, head_width(gguf, "attention.key_length"));
  KETTE_ASSIGN(const int64_t value, head_width(gguf, "attention.value_length"));
  if (head <= rope)
    return error(Code::kCorrupt, "{}: {}, expected above {} {}", key("attention.key_length"), head,
                 key("rope.dimension_count"), rope);
  config.set("num_key_value_heads", heads);
  config.set("head_dim", head);
  config.set("kv_lora_rank", latent);
  config.set("qk_rope_head_dim", rope);
  config.set("qk_nope_head_dim", head - rope);
  config.set("v_head_dim", value);
  if (gguf.has(key("attention.q_lora_rank"))) {
    KETTE_ASSIGN(const int64_t q_latent, positive(gguf, "attention.q_lora_rank"));
    config.set("q_lora_rank", q_latent);
  }
  // The layers of multi-token prediction are counted among the blocks.
  if (const auto extra = gguf.integer(key("nextn_predict_layers")); extra && *extra > 0) {
    if (*extra > 1024)
      return error(Code::kCorrupt, "{}: {}, expected at most 1024", key("nextn_predict_layers"), *extra);
    KETTE_ASSIGN(const int64_t blocks, config.integer("num_hidden_layers", *extra + 1, INT32_MAX));
    config.set("num_hidden_layers", blocks - *extra);
    config.set("num_nextn_predict_layers", *extra);
  }
  const int64_t groups = std::max<int64_t>(1, gguf.integer(key("expert_group_count")).value_or(1));
  config.set("n_group", groups);
  config.set("topk_group", std::max<int64_t>(1, gguf.integer(key("expert_group_used_count")).value_or(1)));
  const bool v3 = deepseek2_architecture(gguf) == "DeepseekV3ForCausalLM";
  config.set("scoring_func", std::string(v3 ? "sigmoid" : "softmax"));
  config.set("topk_method", std::string(v3 ? "noaux_tc" : groups > 1 ? "group_limited_greedy" : "greedy"));
  // GGUF has one multiplier, 0.1 * mscale_all_dim, and takes mscale to be the same.
  const double all = 10 * gguf.real(key("rope.scaling.yarn_log_multiplier")).value_or(0);
  config.set("rope_scaling.mscale", all);
  config.set("rope_scaling.mscale_all_dim", all);
  return {};
}

}  // namespace kette
