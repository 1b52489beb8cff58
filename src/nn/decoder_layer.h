// The pre-norm decoder block of Llama and its descendants: x += attention(norm(x)); x += swiglu(norm(x)).
#pragma once

#include "nn/gqa_attention.h"
#include "nn/rms_norm.h"
#include "nn/swiglu.h"

namespace kette::nn {

struct DecoderLayer {
  RmsNorm input_layernorm, post_attention_layernorm;
  GqaAttention self_attn;
  SwiGlu mlp;

  // x: [rows, hidden_size]; `index` is the layer's own in the caches.
  void forward(Step& step, const Batch& batch, size_t index, const Tensor& x) const {
    const Arena::Mark mark(step.arena);
    const Tensor normed = step.arena.tensor(x.rows, x.cols);
    input_layernorm(step, x, normed);
    self_attn.add(step, normed, batch, index, x);
    post_attention_layernorm(step, x, normed);
    mlp.add(step, normed, x);
  }
};

}  // namespace kette::nn
