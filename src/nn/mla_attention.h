// Multi-head latent attention (DeepSeek-V2, 2024): what is cached of a token is one latent vector, from which every
// head's keys and values are linear maps, and one rotary key that all heads share.
//   absorbed: the map to keys goes into the query, the one to values behind the sum; attention runs over the latents
//   expanded: keys and values are rebuilt from the latents; less work for each pair, more for each cached token
// x += o(heads). The two forms differ in rounding only.
#pragma once

#include <optional>
#include <vector>

#include "nn/batch.h"
#include "nn/linear.h"
#include "nn/rms_norm.h"
#include "nn/step.h"

namespace kette::nn {

// kChosen: absorbed for few rows and in the deterministic and exact modes (so that results there do not depend on how
// a prompt is cut), expanded for many rows in fast mode.
enum class MlaForm { kChosen, kAbsorbed, kExpanded };

// The absorbed form takes rows in stretches of about so many (token, head) pairs, which bounds its scratch.
inline constexpr size_t kAbsorbedPairs = 4096;
// The expanded form rebuilds keys and values of so many heads and cached positions at a time.
inline constexpr size_t kExpandHeads = 16, kExpandPositions = 512;
inline constexpr size_t kExpandedTaskRows = 64;

struct MlaAttention {
  struct QueryLatent {
    Linear q_a_proj;  // [q_lora_rank, hidden_size]
    RmsNorm q_a_layernorm;
  };
  std::optional<QueryLatent> query_latent;
  Linear q_proj;              // [heads * (nope + rope), hidden_size or q_lora_rank]; q_b_proj where there is a latent
  Linear kv_a_proj_with_mqa;  // [kv_lora_rank + rope, hidden_size]
  RmsNorm kv_a_layernorm;     // of the first kv_lora_rank
  std::vector<Linear> k_absorbed;  // per head [kv_lora_rank, nope]: a query to what it seeks in the latents
  std::vector<Linear> k_expanded;  // per head [nope, kv_lora_rank]: latents to keys; empty: always absorbed
  std::vector<Linear> v_proj;      // per head [v_head_dim, kv_lora_rank]: latents to values
  Linear o_proj;                   // [hidden_size, heads * v_head_dim]

  size_t num_heads = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0, kv_lora_rank = 0;
  float softmax_scale = 0;
  bool rope_interleaved = true;
  MlaForm form = MlaForm::kChosen;

  // normed, x: [rows, hidden_size]. Stores the new latents of `layer` in the sequences' caches.
  void add(Step& step, const Tensor& normed, const Batch& batch, size_t layer, const Tensor& x) const;

 private:
  size_t key_dim() const { return kv_lora_rank + qk_rope_head_dim; }       // of a cached row
  size_t head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }  // of a query or a rebuilt key
  bool expands(const Step& step, const Sequence& s) const;
  void rotate_and_store(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& latent) const;
  void attend_absorbed(Step& step, std::span<const Sequence> sequences, size_t layer, const Tensor& q,
                       const Tensor& heads) const;
  void attend_expanded(Step& step, const Sequence& s, size_t layer, const Tensor& q, const Tensor& heads) const;
  void expand(Step& step, const Tensor& latents, const KvCache& kv, size_t layer, size_t from, size_t first_head,
              size_t head_count, const Tensor& rows) const;
};

}  // namespace kette::nn
