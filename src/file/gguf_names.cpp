// Sources: gguf-py's constants.py and tensor_mapping.py and convert_hf_to_gguf.py of ggml-org/llama.cpp (names),
// the config.json files of the models (keys).
#include "file/gguf_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace kette {
namespace {

constexpr GgufArchitecture kArchitectures[] = {
    {.gguf = "llama", .hf = "LlamaForCausalLM", .interleaved_qk = true},
    {.gguf = "qwen2", .hf = "Qwen2ForCausalLM"},
    {.gguf = "qwen2moe", .hf = "Qwen2MoeForCausalLM", .experts = true},
    {.gguf = "qwen3", .hf = "Qwen3ForCausalLM"},
    {.gguf = "qwen3moe", .hf = "Qwen3MoeForCausalLM", .experts = true, .norm_topk_prob = true},
    // Both generations; which one is told by the file's keys (gguf_deepseek.h).
    {.gguf = "deepseek2", .hf = "DeepseekV2ForCausalLM", .experts = true},
};

using enum GgufConfigKey::Kind;
constexpr GgufConfigKey kConfigKeys[] = {
    {"embedding_length", "hidden_size", kInteger},
    {"block_count", "num_hidden_layers", kInteger},
    {"attention.head_count", "num_attention_heads", kInteger},
    {"attention.head_count_kv", "num_key_value_heads", kInteger},
    {"attention.key_length", "head_dim", kInteger},
    {"attention.sliding_window", "sliding_window", kInteger},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", kReal},
    {"feed_forward_length", "intermediate_size", kInteger},
    {"expert_count", "num_experts", kInteger},       // Qwen's name
    {"expert_count", "n_routed_experts", kInteger},  // DeepSeek's
    {"expert_used_count", "num_experts_per_tok", kInteger},
    {"expert_feed_forward_length", "moe_intermediate_size", kInteger},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size", kInteger},
    {"expert_shared_count", "n_shared_experts", kInteger},
    {"expert_group_count", "n_group", kInteger},
    {"expert_group_used_count", "topk_group", kInteger},
    {"expert_weights_norm", "norm_topk_prob", kBoolean},
    {"expert_weights_scale", "routed_scaling_factor", kReal},
    {"leading_dense_block_count", "first_k_dense_replace", kInteger},
    {"context_length", "max_position_embeddings", kInteger},
    {"rope.freq_base", "rope_theta", kReal},
};

struct TensorName {
  std::string_view gguf, hf;
  std::string_view only = {};  // the GGUF architecture whose name this is; empty: any
};

// With ".weight" or ".bias" behind the name, in both.
constexpr TensorName kModelTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"rope_freqs", "model.rope_freqs"},  // no Hugging Face tensor: llama3 scaling as divisors
};
// Behind "blk.N." and "model.layers.N.".
constexpr TensorName kLayerTensors[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm"},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    {"attn_kv_b", "self_attn.kv_b_proj"},
    // No Hugging Face tensors: kv_b_proj split in two, and each head of k_b transposed.
    {"attn_k_b", "self_attn.k_b_proj"},
    {"attn_v_b", "self_attn.v_b_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    // Where each expert is not a tensor of its own but all are stacked in one.
    {"ffn_gate_exps", "mlp.experts.gate_proj"},
    {"ffn_up_exps", "mlp.experts.up_proj"},
    {"ffn_down_exps", "mlp.experts.down_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate", "qwen2moe"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj", "qwen2moe"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj", "qwen2moe"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj", "qwen2moe"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj"},
    {"nextn.eh_proj", "eh_proj"},
    {"nextn.enorm", "enorm"},
    {"nextn.hnorm", "hnorm"},
    {"nextn.embed_tokens", "embed_tokens"},
    {"nextn.shared_head_norm", "shared_head.norm"},
    {"nextn.shared_head_head", "shared_head.head"},
};

// "blk.3.attn_q.weight" -> layer "3", stem "attn_q", suffix ".weight"; layer is empty outside "blk.N.".
struct Parts {
  std::string_view layer, stem, suffix;
};

Parts split(std::string_view name) {
  Parts parts;
  if (name.starts_with("blk.")) {
    const std::string_view rest = name.substr(4);
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    const bool canonical = digits == 1 || (digits > 1 && rest[0] != '0');
    if (canonical && rest.substr(digits).starts_with('.')) {
      parts.layer = rest.substr(0, digits);
      name = rest.substr(digits + 1);
    }
  }
  const size_t module = name.starts_with("nextn.") ? 6 : 0;  // its names have a dot of their own
  const size_t dot = std::min(name.find('.', module), name.size());
  parts.stem = name.substr(0, dot);
  parts.suffix = name.substr(dot);
  return parts;
}

const TensorName* find_row(std::span<const TensorName> rows, std::string_view gguf, std::string_view architecture) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const TensorName& row) {
    return row.gguf == gguf && (row.only.empty() || row.only == architecture);
  });
  return it == rows.end() ? nullptr : &*it;
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view gguf) {
  const auto it = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                               [&](const GgufArchitecture& row) { return row.gguf == gguf; });
  return it == std::end(kArchitectures) ? nullptr : it;
}

std::string gguf_architecture_list() {
  std::string list;
  for (const GgufArchitecture& row : kArchitectures) list += fmt::format("{}{}", list.empty() ? "" : ", ", row.gguf);
  return list;
}

std::span<const GgufConfigKey> gguf_config_keys() { return kConfigKeys; }

std::string canonical_tensor_name(std::string_view gguf_name, std::string_view architecture) {
  const auto [layer, stem, suffix] = split(gguf_name);
  // The one bias that is not beside a weight.
  if (!layer.empty() && stem == "exp_probs_b" && suffix == ".bias")
    return fmt::format("model.layers.{}.mlp.gate.e_score_correction_bias", layer);
  if (suffix != ".weight" && suffix != ".bias") return std::string(gguf_name);
  if (layer.empty()) {
    const TensorName* row = find_row(kModelTensors, stem, architecture);
    return row == nullptr ? std::string(gguf_name) : fmt::format("{}{}", row->hf, suffix);
  }
  const TensorName* row = find_row(kLayerTensors, stem, architecture);
  return row == nullptr ? std::string(gguf_name) : fmt::format("model.layers.{}.{}{}", layer, row->hf, suffix);
}

bool is_qk_projection(std::string_view gguf_name) {
  const auto [layer, stem, suffix] = split(gguf_name);
  return !layer.empty() && (stem == "attn_q" || stem == "attn_k") && (suffix == ".weight" || suffix == ".bias");
}

}  // namespace kette
