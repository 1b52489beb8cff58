#include "file/gguf_config.h"

#include <cmath>

#include "file/gguf_deepseek.h"

namespace kette {
namespace {

class Translator {
 public:
  Translator(const Gguf& gguf, std::string_view architecture) : gguf_(gguf), prefix_(std::string(architecture) + ".") {}

  std::string key(std::string_view name) const { return prefix_ + std::string(name); }

  // Copies a key of the architecture if the file has it: whether it has.
  Result<bool> integer(std::string_view name, std::string_view hf) {
    return copy(name, hf, &Gguf::integer, "an integer");
  }
  Result<bool> real(std::string_view name, std::string_view hf) { return copy(name, hf, &Gguf::real, "a number"); }
  Result<bool> boolean(std::string_view name, std::string_view hf) {
    return copy(name, hf, &Gguf::boolean, "true or false");
  }
  Result<bool> row(const GgufConfigKey& row) {
    switch (row.kind) {
      case GgufConfigKey::Kind::kInteger: return integer(row.gguf, row.hf);
      case GgufConfigKey::Kind::kReal: return real(row.gguf, row.hf);
      case GgufConfigKey::Kind::kBoolean: return boolean(row.gguf, row.hf);
    }
    return false;
  }

  Config config;

 private:
  template <class T>
  Result<bool> copy(std::string_view name, std::string_view hf, std::optional<T> (Gguf::*get)(std::string_view) const,
                    std::string_view expected) {
    if (!gguf_.has(key(name))) return false;
    const auto value = (gguf_.*get)(key(name));
    // Per-layer lists, where llama.cpp allows them, are another architecture to Kette.
    if (!value) return error(Code::kUnsupported, "{}: expected {}", key(name), expected);
    config.set(std::string(hf), *value);
    return true;
  }

  const Gguf& gguf_;
  std::string prefix_;
};

Status set_rope_scaling(const Gguf& gguf, Translator& t) {
  if (!gguf.has(t.key("rope.scaling.type"))) {
    KETTE_ASSIGN(const bool linear, t.real("rope.scale_linear", "rope_scaling.factor"));  // files of 2023
    if (linear) t.config.set("rope_scaling.rope_type", std::string("linear"));
    return {};
  }
  const auto type = gguf.string(t.key("rope.scaling.type"));
  if (!type) return error(Code::kCorrupt, "{}: expected a string", t.key("rope.scaling.type"));
  if (*type == "none") return {};
  t.config.set("rope_scaling.rope_type", std::string(*type));
  KETTE_TRY(t.real("rope.scaling.factor", "rope_scaling.factor").status());
  KETTE_TRY(
      t.integer("rope.scaling.original_context_length", "rope_scaling.original_max_position_embeddings").status());
  KETTE_TRY(t.real("rope.scaling.yarn_beta_fast", "rope_scaling.beta_fast").status());
  KETTE_TRY(t.real("rope.scaling.yarn_beta_slow", "rope_scaling.beta_slow").status());
  // GGUF's attn_factor multiplies YaRN's own 0.1 ln(factor) + 1; config.json's attention_factor replaces it.
  const auto factor = gguf.real(t.key("rope.scaling.factor")), attention = gguf.real(t.key("rope.scaling.attn_factor"));
  if (*type == "yarn" && attention && factor && *factor > 0) {
    t.config.set("rope_scaling.attention_factor", *attention * (0.1 * std::log(*factor) + 1.0));
  }
  return {};
}

// How a router's scores are made.
Status set_scoring_func(const Gguf& gguf, Translator& t) {
  if (!gguf.has(t.key("expert_gating_func"))) return {};
  const int64_t kind = gguf.integer(t.key("expert_gating_func")).value_or(0);
  if (kind != 1 && kind != 2) {
    return error(Code::kUnsupported, "{}: {}, expected 1 (softmax) or 2 (sigmoid)", t.key("expert_gating_func"), kind);
  }
  t.config.set("scoring_func", std::string(kind == 1 ? "softmax" : "sigmoid"));
  return {};
}

void set_head_dim(const Gguf& gguf, Translator& t) {
  const auto heads = gguf.integer(t.key("attention.head_count")), hidden = gguf.integer(t.key("embedding_length"));
  if (!t.config.has("head_dim") && heads && hidden && *heads > 0 && *hidden % *heads == 0) {
    t.config.set("head_dim", *hidden / *heads);
  }
  const auto head_dim = t.config.integer("head_dim", 1, INT32_MAX);
  const auto rotary = gguf.integer(t.key("rope.dimension_count"));
  if (head_dim.ok() && rotary && *rotary != *head_dim) {
    t.config.set("partial_rotary_factor", static_cast<double>(*rotary) / static_cast<double>(*head_dim));
  }
}

}  // namespace

Result<Config> config_from_gguf(const Gguf& gguf, const GgufArchitecture& architecture) {
  Translator t(gguf, architecture.gguf);
  if (!architecture.experts && gguf.integer(t.key("expert_count")).value_or(0) != 0) {
    return error(Code::kUnsupported, "{} with experts: only the dense architecture is supported", architecture.gguf);
  }
  t.config.set("rope_theta", 10000.0);
  t.config.set("norm_topk_prob", architecture.norm_topk_prob);
  for (const GgufConfigKey& row : gguf_config_keys()) KETTE_TRY(t.row(row).status());
  KETTE_TRY(set_scoring_func(gguf, t));
  if (!t.config.has("num_key_value_heads")) {
    KETTE_TRY(t.integer("attention.head_count", "num_key_value_heads").status());
  }
  KETTE_TRY(set_rope_scaling(gguf, t));
  if (architecture.gguf == "deepseek2") {
    KETTE_TRY(set_deepseek2(gguf, t.config));
  } else {
    set_head_dim(gguf, t);
  }

  const GgufTensor* embedding = gguf.find("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) {
    t.config.set("vocab_size", static_cast<int64_t>(embedding->shape[0]));
  }
  t.config.set("tie_word_embeddings", gguf.find("output.weight") == nullptr);
  t.config.set("attention_bias", gguf.find("blk.0.attn_q.bias") != nullptr);
  if (const auto id = gguf.integer("tokenizer.ggml.bos_token_id")) t.config.set("bos_token_id", *id);
  if (const auto id = gguf.integer("tokenizer.ggml.eos_token_id")) t.config.set("eos_token_id", *id);
  return std::move(t.config);
}

}  // namespace kette
