// The pre-norm decoder block of Llama and its descendants: x += attention(norm(x)); x += feed_forward(norm(x)).
#pragma once

#include <variant>

#include "nn/gqa_attention.h"
#include "nn/mla_attention.h"
#include "nn/moe.h"
#include "nn/rms_norm.h"
#include "nn/swiglu.h"

namespace kette::nn {

using Attention = std::variant<GqaAttention, MlaAttention>;
using FeedForward = std::variant<SwiGlu, Moe>;

struct DecoderLayer {
  RmsNorm input_layernorm, post_attention_layernorm;
  Attention self_attn;
  FeedForward mlp;

  // x: [rows, hidden_size]; `index` is the layer's own in the caches.
  void forward(Step& step, const Batch& batch, size_t index, const Tensor& x) const {
    const Arena::Mark mark(step.arena);
    const Tensor normed = step.arena.tensor(x.rows, x.cols);
    input_layernorm(step, x, normed);
    std::visit([&](const auto& attention) { attention.add(step, normed, batch, index, x); }, self_attn);
    post_attention_layernorm(step, x, normed);
    std::visit([&](const auto& feed_forward) { feed_forward.add(step, normed, x); }, mlp);
  }
};

}  // namespace kette::nn
