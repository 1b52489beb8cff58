#include "runtime/forward.h"

#include <algorithm>

namespace kette {

Forward::Forward(const Model& model, Runtime& runtime, nn::Mode mode)
    : model_(model),
      runtime_(runtime),
      mode_(mode),
      points_(*runtime.executor),
      scratch_(runtime.kernels, runtime.executor->width(), runtime.allocator.get()) {}

void Forward::set_profile(bool on) {
  if (on) profile_ = std::make_unique<nn::Profile>(points_);
  profiling_ = on;
}

void Forward::grow(size_t rows) {
  if (rows <= capacity_) return;
  capacity_ = 0;
  const size_t half = model_.rope().inv_freq.size();
  x_ = AlignedBuffer<float>(rows * model_.shape().hidden_size, runtime_.allocator.get());
  cos_ = AlignedBuffer<float>(rows * half, runtime_.allocator.get());
  sin_ = AlignedBuffer<float>(rows * half, runtime_.allocator.get());
  capacity_ = rows;
}

void Forward::start(Pass pass, std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* logits,
                    size_t rows) {
  kv.prepare(position, position + tokens.size(), position + (pass == Pass::kAhead ? tokens.size() : 0));
  tokens_.assign(tokens.begin(), tokens.end());
  pass_ = pass;
  sequence_ = {&kv, 0, tokens.size(), position};
  logits_ = logits;
  rows_ = tokens.size();
  logit_rows_ = rows;
  part_ = 0;
  part_begun_ = false;
  under_way_ = true;
  const size_t half = model_.rope().inv_freq.size();
  for (size_t i = 0; i < rows_; ++i) model_.rope().angles(position + i, cos_.data() + i * half, sin_.data() + i * half);
}

void Forward::begin(std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* logits, size_t rows) {
  grow(tokens.size());
  start(Pass::kMain, tokens, kv, position, logits, rows);
}

void Forward::begin_normed(std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* normed,
                           size_t rows) {
  grow(tokens.size());
  start(Pass::kNormed, tokens, kv, position, normed, rows);
}

void Forward::begin_ahead(std::span<const int32_t> next, nn::KvCache& kv, size_t position, float* logits, size_t rows) {
  if (ahead_.size() < x_.size()) ahead_ = AlignedBuffer<float>(x_.size(), runtime_.allocator.get());
  start(Pass::kAhead, next, kv, position, logits, rows);
}

void Forward::begin_further(int32_t next, nn::KvCache& kv, size_t position, float* logits) {
  const size_t hidden_size = model_.shape().hidden_size;
  if (rows_ > 1) std::copy_n(ahead_.data() + (rows_ - 1) * hidden_size, hidden_size, ahead_.data());
  start(Pass::kFurther, {&next, 1}, kv, position, logits, 1);
}

Result<bool> Forward::run(std::optional<Clock::time_point> deadline, const CancelFlag* cancel) {
  // Left by an error or an exception (no memory), a part is half done and cannot go on.
  struct Drop {
    Forward* forward;
    ~Drop() {
      if (forward != nullptr) forward->drop();
    }
  } unless_kept{this};
  under_way_ = true;
  points_.arm(deadline, cancel);
  nn::Profile* const profile = measuring();
  const nn::Phase phase(profile, "between layers");
  nn::Step step(profile != nullptr ? static_cast<Executor&>(*profile) : points_, runtime_.kernels, mode_, scratch_,
                main() ? adapters_ : nullptr, profile);
  for (bool first = true; part_ < parts(); ++part_, first = false) {
    if (cancelled(cancel)) return error(Code::kCancelled, "cancelled at part {} of {}", part_, parts());
    if (deadline && !first && Clock::now() >= *deadline) {
      unless_kept.forward = nullptr;
      return false;
    }
    try {
      run_part(step, deadline.has_value());
    } catch (const Interrupted& interrupted) {
      if (!step.status().ok()) return step.status();
      if (interrupted.lost) return error(Code::kInternal, "part {} was resumed with other stretches of work", part_);
      if (cancelled(cancel)) return error(Code::kCancelled, "cancelled in part {} of {}", part_, parts());
      unless_kept.forward = nullptr;
      return false;
    }
    if (!step.status().ok()) return step.status();
  }
  if (profile != nullptr) profile->end_pass(rows_);
  drop();
  return true;
}

// The part from its beginning, or from where it was interrupted.
void Forward::run_part(nn::Step& step, bool may_stop) {
  if (part_begun_) {
    points_.resume_part();
  } else {
    points_.begin_part();
    scratch_.arena.settle();
    scratch_.arena.hold(may_stop);
  }
  scratch_.arena.rewind();
  part_begun_ = true;
  const ModelShape& shape = model_.shape();
  const nn::Batch batch{tokens_, {&sequence_, 1}, cos_.data(), sin_.data()};
  const nn::Tensor x{x_.data(), rows_, shape.hidden_size, shape.hidden_size};
  const nn::Tensor ahead{ahead_.data(), rows_, shape.hidden_size, shape.hidden_size};
  const nn::Tensor logits{logits_, logit_rows_, shape.vocab_size, shape.vocab_size};
  const bool main = this->main(), last = part_ + 1 == parts();
  if (step.profile != nullptr) step.profile->enter_layer(!last && (part_ > 0 || !main));
  if (last && logit_rows_ > 0 && pass_ == Pass::kNormed) {
    model_.normed(step, x.slice(rows_ - logit_rows_, logit_rows_),
                  {logits_, logit_rows_, shape.hidden_size, shape.hidden_size});
  } else if (last && logit_rows_ > 0 && main) {
    model_.head(step, x.slice(rows_ - logit_rows_, logit_rows_), logits);
  } else if (last && logit_rows_ > 0) {
    model_.ahead_head(step, ahead.slice(rows_ - logit_rows_, logit_rows_), logits);
  } else if (!last && !main) {
    model_.ahead(step, batch, pass_ == Pass::kAhead ? x : ahead, pass_ == Pass::kFurther, ahead);
  } else if (!last && part_ == 0) {
    model_.embed(step, batch, x);
  } else if (!last) {
    model_.layer(step, batch, part_ - 1, x);
  }
  part_begun_ = false;
  if (observer_ && main && !last) observer_(part_, x);
}

}  // namespace kette
