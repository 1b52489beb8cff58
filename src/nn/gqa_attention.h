// Grouped-query attention with rotary embedding (Ainslie et al. 2023): x += o(softmax(q k^T / sqrt(d)) v).
#pragma once

#include <optional>

#include "nn/batch.h"
#include "nn/linear.h"
#include "nn/rms_norm.h"
#include "nn/step.h"

namespace kette::nn {

struct GqaAttention {
  Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<RmsNorm> q_norm, k_norm;  // [head_dim] each: of every head, before the rotation (Qwen3)
  size_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  bool rope_interleaved = false;  // how q_proj's and k_proj's rows are paired

  // normed, x: [rows, hidden_size]. Stores the new keys and values of `layer` in the sequences' caches.
  void add(Step& step, const Tensor& normed, const Batch& batch, size_t layer, const Tensor& x) const;

 private:
  void rotate_and_store(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& k,
                        const Tensor& v) const;
  void attend(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& out) const;
};

}  // namespace kette::nn
