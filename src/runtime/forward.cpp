#include "runtime/forward.h"

namespace kette {

Forward::Forward(const Model& model, Runtime& runtime, nn::Mode mode)
    : model_(model), runtime_(runtime), mode_(mode), scratch_(runtime.kernels, runtime.executor->width()) {}

void Forward::grow(size_t rows) {
  if (rows <= capacity_) return;
  capacity_ = 0;
  const size_t half = model_.rope().inv_freq.size();
  x_ = AlignedBuffer<float>(rows * model_.shape().hidden_size);
  cos_ = AlignedBuffer<float>(rows * half);
  sin_ = AlignedBuffer<float>(rows * half);
  capacity_ = rows;
}

void Forward::begin(std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* logits, size_t rows) {
  grow(tokens.size());
  tokens_.assign(tokens.begin(), tokens.end());
  sequence_ = {&kv, 0, tokens.size(), position};
  logits_ = logits;
  rows_ = tokens.size();
  logit_rows_ = rows;
  part_ = 0;
  under_way_ = true;
  const size_t half = model_.rope().inv_freq.size();
  for (size_t i = 0; i < rows_; ++i) model_.rope().angles(position + i, cos_.data() + i * half, sin_.data() + i * half);
}

Result<bool> Forward::run(std::optional<Clock::time_point> deadline, const CancelFlag* cancel) {
  nn::Step step(*runtime_.executor, runtime_.kernels, mode_, scratch_);
  const ModelShape& shape = model_.shape();
  const nn::Tensor x{x_.data(), rows_, shape.hidden_size, shape.hidden_size};
  const nn::Batch batch{tokens_, {&sequence_, 1}, cos_.data(), sin_.data()};
  const size_t head = shape.num_hidden_layers + 1;
  for (; part_ <= head; ++part_) {
    if (cancelled(cancel)) return error(Code::kCancelled, "cancelled at layer {} of {}", part_, shape.num_hidden_layers);
    if (deadline && Clock::now() >= *deadline) return false;
    if (part_ == 0) {
      model_.embed(step, batch, x);
    } else if (part_ < head) {
      model_.layer(step, batch, part_ - 1, x);
    } else if (logit_rows_ > 0) {
      model_.head(step, x.slice(rows_ - logit_rows_, logit_rows_),
                  {logits_, logit_rows_, shape.vocab_size, shape.vocab_size});
    }
    if (!step.status().ok()) return step.status();
  }
  under_way_ = false;
  return true;
}

}  // namespace kette
