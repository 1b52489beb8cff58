// A model: tensors of a checkpoint -> hidden states -> logits. One architecture is one file here and one row in
// models.inc.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "nn/batch.h"
#include "nn/rope.h"
#include "nn/step.h"

namespace kette {

class Binder;

struct ModelShape {
  size_t num_hidden_layers = 0, hidden_size = 0, vocab_size = 0, max_position_embeddings = 0;
  nn::KvShape kv{};
};

// A matrix that the model multiplies whole, as its tensor is: what adapters may change. nn::Linear::id is its place.
struct NamedMatrix {
  std::string name;  // the tensor's without ".weight": "model.layers.3.self_attn.q_proj"; experts one by one
  size_t out, in;
  bool rows_interleaved_rope;  // as in CheckpointTensor
};

// Immutable once bound; forward passes of different sessions may run at once.
// A pass is embed, every layer in order, head; the runtime may pause between any two of them.
class Model {
 public:
  virtual ~Model() = default;
  const ModelShape& shape() const { return shape_; }
  const nn::Rope& rope() const { return rope_; }
  // Without those of a multi-token prediction module, which adapters do not change.
  std::span<const NamedMatrix> matrices() const { return matrices_; }

  // x: [batch.tokens.size(), hidden_size]
  virtual void embed(nn::Step& step, const nn::Batch& batch, const nn::Tensor& x) const = 0;
  virtual void layer(nn::Step& step, const nn::Batch& batch, size_t index, const nn::Tensor& x) const = 0;
  // After the last norm, x.rows of hidden_size: what embeddings are made of.
  virtual void normed(nn::Step& step, const nn::Tensor& x, const nn::Tensor& y) const = 0;
  // The rows of x whose scores are wanted -> logits [x.rows, vocab_size].
  virtual void head(nn::Step& step, const nn::Tensor& x, const nn::Tensor& logits) const = 0;

  // Multi-token prediction, where the model has a module for it: from what is known of a position and the token that
  // follows, the token after that.
  virtual bool looks_ahead() const { return false; }
  // batch: tokens are those that follow the rows. hidden: what layer() made of the rows, or, to guess further, what this
  // made of the row before (`further`). y, which may be hidden: what ahead_head() reads. The module's keys and values
  // are a layer of their own in the caches.
  virtual void ahead(nn::Step&, const nn::Batch&, const nn::Tensor& /*hidden*/, bool /*further*/,
                     const nn::Tensor& /*y*/) const {}
  virtual void ahead_head(nn::Step&, const nn::Tensor& /*y*/, const nn::Tensor& /*logits*/) const {}

 protected:
  ModelShape shape_;
  nn::Rope rope_;
  std::vector<NamedMatrix> matrices_;
};

// Whether models.inc has a row for it.
bool has_model(std::string_view architecture);

// The row of models.inc for the checkpoint's architecture, bound. kUnsupported, with the list, if there is none.
Result<std::unique_ptr<Model>> bind_model(Binder& binder);

}  // namespace kette
