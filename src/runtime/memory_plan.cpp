#include "runtime/memory_plan.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace kette {
namespace {

constexpr std::string_view kLayers = "model.layers.";

uint64_t setting(const Checkpoint& checkpoint, std::string_view key, uint64_t fallback) {
  constexpr int64_t kMost = 1 << 24;  // products of a few stay inside 64 bits
  const auto value = checkpoint.config().integer(key, 0, kMost);
  return value.ok() ? static_cast<uint64_t>(*value) : fallback;
}

uint64_t layers_of(const Checkpoint& checkpoint) { return setting(checkpoint, "num_hidden_layers", UINT64_MAX); }

std::optional<uint64_t> layer_of(const CheckpointTensor& tensor) {
  const std::string_view name = tensor.name;
  if (!name.starts_with(kLayers)) return std::nullopt;
  uint64_t layer = 0;
  const auto parsed = std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return parsed.ec == std::errc() ? std::optional(layer) : std::nullopt;
}

// Is the layer behind the last a multi-token prediction module?
bool looks_ahead(const Checkpoint& checkpoint) {
  return checkpoint.find(fmt::format("{}{}.eh_proj.weight", kLayers, layers_of(checkpoint))) != nullptr;
}

// Was checked when the table was read.
uint64_t elements(const CheckpointTensor& tensor) {
  uint64_t n = 1;
  for (const uint64_t d : tensor.shape) n *= d;
  return n;
}

// Tables that come with weights, not learned.
bool is_table(std::string_view name) { return name == "model.rope_freqs.weight" || name.ends_with("_scale_inv"); }

}  // namespace

bool is_read(const Checkpoint& checkpoint, const CheckpointTensor& tensor) {
  const uint64_t layers = layers_of(checkpoint);
  const std::optional<uint64_t> layer = layer_of(tensor);
  return !layer || *layer < layers || (*layer == layers && looks_ahead(checkpoint));
}

Parameters count_parameters(const Checkpoint& checkpoint) {
  const uint64_t layers = layers_of(checkpoint);
  uint64_t all = 0, experts = 0;
  for (const CheckpointTensor& t : checkpoint.tensors()) {
    if (is_table(t.name) || layer_of(t).value_or(0) >= layers) continue;
    all += elements(t);
    if (t.name.find(".experts.") != std::string::npos) experts += elements(t);
  }
  const uint64_t count = setting(checkpoint, "num_experts", setting(checkpoint, "n_routed_experts", 0));
  const uint64_t used = std::min(count, setting(checkpoint, "num_experts_per_tok", count));
  return {all, all - experts + (count > 0 ? experts / count * used : experts)};
}

uint64_t stored_bytes(const Checkpoint& checkpoint) {
  uint64_t sum = 0;
  for (const CheckpointTensor& t : checkpoint.tensors())
    if (is_read(checkpoint, t)) sum += t.bytes;
  return sum;
}

uint64_t weight_bytes(const Checkpoint& checkpoint, const WeightTypes& types) {
  const auto tied = checkpoint.config().boolean("tie_word_embeddings", false);
  uint64_t sum = 0;
  for (const CheckpointTensor& t : checkpoint.tensors()) {
    if (!is_read(checkpoint, t)) continue;
    const Format* target = types.target(t, tied.ok() && *tied);
    sum += target == nullptr ? t.bytes : elements(t) / target->block_size * target->block_bytes;
  }
  return sum;
}

uint64_t kv_numbers_per_token(const Checkpoint& checkpoint) {
  const uint64_t layers = setting(checkpoint, "num_hidden_layers", 0) + (looks_ahead(checkpoint) ? 1 : 0);
  // Latent attention keeps one latent and one rotary key.
  if (const uint64_t latent = setting(checkpoint, "kv_lora_rank", 0); latent > 0)
    return layers * (latent + setting(checkpoint, "qk_rope_head_dim", 0));
  const uint64_t heads = setting(checkpoint, "num_attention_heads", 0);
  if (heads == 0) return 0;
  const uint64_t head_dim = setting(checkpoint, "head_dim", setting(checkpoint, "hidden_size", 0) / heads);
  return layers * setting(checkpoint, "num_key_value_heads", heads) * head_dim * 2;
}

}  // namespace kette
