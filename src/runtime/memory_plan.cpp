#include "runtime/memory_plan.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/checked.h"
#include "nn/linear.h"
#include "nn/mla_attention.h"
#include "nn/span_attend.h"
#include "runtime/forward.h"

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

uint64_t sum(std::initializer_list<uint64_t> numbers) {
  uint64_t out = 0;
  for (const uint64_t n : numbers) out = checked_add(out, n).value_or(UINT64_MAX);
  return out;
}

uint64_t product(std::initializer_list<uint64_t> numbers) {
  uint64_t out = 1;
  for (const uint64_t n : numbers) out = checked_mul(out, n).value_or(UINT64_MAX);
  return out;
}

bool is_tied(const Checkpoint& checkpoint) {
  const auto tied = checkpoint.config().boolean("tie_word_embeddings", false);
  return tied.ok() && *tied;
}

// Settings that say how large a layer's intermediate results are.
struct Sizes {
  explicit Sizes(const Checkpoint& c)
      : hidden(setting(c, "hidden_size", 0)),
        heads(setting(c, "num_attention_heads", 0)),
        kv_heads(setting(c, "num_key_value_heads", heads)),
        head_dim(setting(c, "head_dim", heads > 0 ? hidden / heads : 0)),
        latent(setting(c, "kv_lora_rank", 0)),
        query_latent(setting(c, "q_lora_rank", 0)),
        rope(setting(c, "qk_rope_head_dim", 0)),
        nope(setting(c, "qk_nope_head_dim", 0)),
        value(setting(c, "v_head_dim", 0)),
        mlp(setting(c, "intermediate_size", 0)),
        experts(setting(c, "num_experts", setting(c, "n_routed_experts", 0))),
        experts_used(setting(c, "num_experts_per_tok", 0)),
        expert_mlp(setting(c, "moe_intermediate_size", 0)),
        shared_mlp(
            setting(c, "shared_expert_intermediate_size", product({setting(c, "n_shared_experts", 0), expert_mlp}))),
        vocab(setting(c, "vocab_size", 0)) {}
  uint64_t hidden, heads, kv_heads, head_dim, latent, query_latent, rope, nope, value, mlp, experts, experts_used,
      expert_mlp, shared_mlp, vocab;
};

// Of one row through a layer: floats, and inputs of matmuls, which are rounded to int8 with scales or to bfloat16.
uint64_t row_bytes(const Sizes& s) {
  constexpr uint64_t kFloat = 4, kInput = 4;  // 1 + 4/32 + 4/16, 420/256, or 2, or two of them
  const uint64_t queries = product({s.heads, s.latent > 0 ? sum({s.nope, s.rope}) : s.head_dim});
  const uint64_t found = product({s.heads, s.latent > 0 ? s.value : s.head_dim});
  const uint64_t keys = s.latent > 0 ? sum({s.latent, s.rope, s.query_latent}) : product({2, s.kv_heads, s.head_dim});
  const uint64_t attention = sum({product({kFloat, sum({queries, keys, found, s.hidden})}),
                                  product({kInput, sum({s.hidden, found, s.query_latent})})});
  const uint64_t mlp = product({kFloat + kInput, sum({s.mlp, s.hidden})});
  const uint64_t slots = product({s.experts_used, kFloat + kInput, sum({s.hidden, s.expert_mlp, 8})});
  const uint64_t moe = s.experts == 0 ? 0
                                      : sum({product({kFloat, sum({s.experts, 1})}), slots,
                                             product({kFloat + kInput, sum({s.shared_mlp, s.hidden})})});
  return sum({product({3 * kFloat, s.hidden}), attention, std::max(mlp, moe), product({kFloat, s.head_dim})});
}

// What attention takes whatever the rows are.
uint64_t attention_bytes(const Sizes& s, uint64_t context, uint64_t threads) {
  constexpr uint64_t kTaskRows = std::max(nn::kSpanTaskRows, nn::kExpandedTaskRows);
  const uint64_t key = s.latent > 0 ? sum({s.latent, s.rope}) : s.head_dim, value = s.latent > 0 ? s.latent : key;
  const uint64_t partial = product({context / nn::kSpan + 1, std::max(s.heads, 16 * threads), sum({value, 2}), 4});
  const uint64_t worker = product(
      {4, sum({KETTE_ATTEND_SCRATCH(key, value, kTaskRows), product({kTaskRows, sum({key, value, value, 8})})})});
  const uint64_t spans = sum({std::min<uint64_t>(partial, nn::kMostPartialBytes), product({threads, worker})});
  if (s.latent == 0) return spans;
  const uint64_t head = sum({s.nope, s.rope, s.value});
  const uint64_t absorbed = product({sum({nn::kAbsorbedPairs, s.heads}), 8, sum({key, s.latent, s.nope})});
  const uint64_t expanded =
      sum({product({nn::kExpandPositions, 4, sum({s.latent, s.latent, product({nn::kExpandHeads, head})})}),
           product({s.heads, Forward::kMaxRows, 8}), product({threads, 4, kTaskRows, head})});
  return sum({std::max(absorbed, expanded), spans});
}

// An estimate from above of what Forward and its layers take.
uint64_t scratch_bytes(const Checkpoint& checkpoint, uint64_t context, const Runtime& runtime) {
  constexpr uint64_t kSlack = 2 << 20;  // the arena's chunks, and tables
  const Sizes s(checkpoint);
  const uint64_t rows = std::min<uint64_t>(context, Forward::kMaxRows), threads = runtime.executor->width();
  const uint64_t row = sum({row_bytes(s), looks_ahead(checkpoint) ? product({24, s.hidden}) : 0});
  uint64_t panels = 1;
  runtime.kernels.each_panel(
      [&](const auto& p) { panels = std::max<uint64_t>(panels, kernels::most_panels(p.type())); });
  const uint64_t gates = product({threads, panels, kernels::kPanelWidth, rows, 4});
  const uint64_t pieces = sum({s.vocab, product({s.experts, sum({s.hidden, s.expert_mlp, 512})})});
  // Logits of the last token and of guesses ahead.
  const uint64_t logits = product({4, nn::kFewRows, s.vocab});
  return sum({product({rows, row}), logits, gates, pieces, kSlack,
              product({threads, nn::Scratch(runtime.kernels, 1).bytes()}), attention_bytes(s, context, threads)});
}

// The maps between latents and keys in the orientation that the file lacks.
uint64_t turned_bytes(const Checkpoint& checkpoint, nn::Mode mode) {
  uint64_t bytes = 0;
  const Sizes s(checkpoint);
  for (const CheckpointTensor& t : checkpoint.tensors()) {
    const bool whole = t.name.ends_with(".kv_b_proj.weight"), split = t.name.ends_with(".k_b_proj.weight");
    if ((!whole && !split) || !is_read(checkpoint, t) || (split && mode != nn::Mode::kFast)) continue;
    const uint64_t number = mode == nn::Mode::kExact || t.type->name == "f32" ? 4 : 2;
    bytes = sum({bytes, product({s.heads, s.nope, s.latent, number})});
  }
  return bytes;
}

// Tables that come with weights, not learned.
bool is_table(std::string_view name) { return name == "model.rope_freqs.weight" || name.ends_with("_scale_inv"); }

}  // namespace

uint64_t scheduler_scratch_bytes(const Checkpoint& checkpoint, uint64_t max_batch, const Runtime& runtime) {
  constexpr uint64_t kAnyContext = 1 << 26;  // of its sessions
  return sum({scratch_bytes(checkpoint, kAnyContext, runtime), product({4, max_batch, Sizes(checkpoint).vocab})});
}

bool is_read(const Checkpoint& checkpoint, const CheckpointTensor& tensor) {
  const uint64_t layers = layers_of(checkpoint);
  const std::optional<uint64_t> layer = layer_of(tensor);
  if (tensor.name == "lm_head.weight" && is_tied(checkpoint)) return false;
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

std::vector<EncodedTensor> encoded_tensors(const Checkpoint& checkpoint, const WeightTypes& types) {
  std::vector<EncodedTensor> out;
  const bool tied = is_tied(checkpoint);
  for (const CheckpointTensor& t : checkpoint.tensors()) {
    const Format* target = is_read(checkpoint, t) && t.bytes > 0 ? types.target(t, tied) : nullptr;
    if (target != nullptr) out.push_back({&t, target, elements(t) / target->block_size * target->block_bytes});
  }
  return out;
}

uint64_t weight_bytes(const Checkpoint& checkpoint, const WeightTypes& types) {
  uint64_t bytes = stored_bytes(checkpoint);
  for (const EncodedTensor& e : encoded_tensors(checkpoint, types)) bytes = bytes - e.tensor->bytes + e.bytes;
  return bytes;
}

uint64_t kv_numbers_per_token(const Checkpoint& checkpoint) {
  const uint64_t layers = setting(checkpoint, "num_hidden_layers", 0) + (looks_ahead(checkpoint) ? 1 : 0);
  const Sizes s(checkpoint);
  // Latent attention keeps one latent and one rotary key.
  return s.latent > 0 ? product({layers, sum({s.latent, s.rope})}) : product({2, layers, s.kv_heads, s.head_dim});
}

uint64_t MemoryPlan::must_fit() const { return sum({resident, kv, scratch, prefix}); }
uint64_t MemoryPlan::all() const { return sum({mapped, must_fit()}); }

std::string MemoryPlan::text() const {
  return fmt::format(
      "weights need {} bytes ({} in memory, {} mapped), the KV cache of {} tokens {}, scratch {}{}: {} in all",
      sum({resident, mapped}), resident, mapped, context, kv, scratch,
      prefix > 0 ? fmt::format(", kept prefixes {}", prefix) : "", all());
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const PlanOptions& options, const Runtime& runtime) {
  MemoryPlan plan;
  plan.context = options.context;
  if (plan.context == 0)
    plan.context = std::min<uint64_t>(setting(checkpoint, "max_position_embeddings", 2048), kDefaultContext);
  const uint64_t number = options.mode == nn::Mode::kExact ? 4 : 2;
  const uint64_t positions = checked_align_up(plan.context, KETTE_KV_PAGE).value_or(UINT64_MAX);
  plan.kv = product({number, kv_numbers_per_token(checkpoint), positions});
  plan.scratch = scratch_bytes(checkpoint, plan.context, runtime);
  plan.prefix = options.prefix;

  uint64_t encoded = 0, stored = stored_bytes(checkpoint);
  for (const EncodedTensor& e : encoded_tensors(checkpoint, options.types)) {
    encoded += e.bytes;
    stored -= e.tensor->bytes;
  }
  (options.map ? plan.mapped : plan.resident) = stored;
  for (const CheckpointTensor& t : checkpoint.tensors())  // scales are copied: files align them to nothing
    if (is_read(checkpoint, t) && t.name.ends_with("_scale_inv")) plan.resident += t.bytes;
  (options.map && options.packed ? plan.mapped : plan.resident) += encoded;
  plan.resident = sum({plan.resident, turned_bytes(checkpoint, options.mode)});
  return plan;
}

}  // namespace kette
