// The decoder that Llama's descendants share: embedding, pre-norm layers of an attention and a feed-forward, norm, head.
// A model's own file says of what its layers are made.
#pragma once

#include <functional>

#include "models/binder.h"
#include "models/model.h"

namespace kette {

struct DecoderParts {
  DecoderParts() = default;
  explicit DecoderParts(const GqaSizes& s)
      : hidden_size(s.hidden_size),
        kv_heads(s.num_key_value_heads),
        key_dim(s.head_dim),
        value_dim(s.head_dim),
        rotary_dim(s.head_dim) {}

  size_t hidden_size = 0;
  size_t kv_heads = 0, key_dim = 0, value_dim = 0;  // of the cache
  size_t rotary_dim = 0;
  bool looks_ahead = false;  // the layer behind the last is a multi-token prediction module
  // Called for each layer in order, once the settings read before are known to be in order.
  std::function<nn::Attention(const std::string& prefix)> self_attn;            // "model.layers.3.self_attn"
  std::function<nn::FeedForward(const std::string& prefix, size_t layer)> mlp;  // "model.layers.3.mlp", 3
};

Result<std::unique_ptr<Model>> bind_decoder(Binder& binder, const DecoderParts& parts);

}  // namespace kette
