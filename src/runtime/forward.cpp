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

void Forward::start(Pass pass, std::span<const Input> inputs, float* logits) {
  size_t rows = 0;
  for (const Input& in : inputs) {
    const size_t end = in.position + in.tokens.size();
    in.kv->prepare(in.position, end, pass == Pass::kAhead ? end : in.position);
    rows += in.tokens.size();
  }
  tokens_.reserve(rows);
  sequences_.reserve(inputs.size());
  wanted_.reserve(inputs.size());
  // From here on nothing fails.
  tokens_.clear();
  sequences_.clear();
  wanted_.clear();
  logit_rows_ = 0;
  for (const Input& in : inputs) {
    sequences_.push_back({in.kv, tokens_.size(), in.tokens.size(), in.position});
    wanted_.push_back(in.rows);
    tokens_.insert(tokens_.end(), in.tokens.begin(), in.tokens.end());
    logit_rows_ += in.rows;
  }
  pass_ = pass;
  logits_ = logits;
  part_ = 0;
  part_begun_ = false;
  under_way_ = true;
  const size_t half = model_.rope().inv_freq.size();
  for (const nn::Sequence& s : sequences_)
    for (size_t i = 0; i < s.rows; ++i)
      model_.rope().angles(s.first_position + i, cos_.data() + (s.first_row + i) * half,
                           sin_.data() + (s.first_row + i) * half);
}

void Forward::begin(std::span<const Input> inputs, float* logits) {
  size_t rows = 0;
  for (const Input& in : inputs) rows += in.tokens.size();
  grow(rows);
  start(Pass::kMain, inputs, logits);
}

void Forward::begin_normed(std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* normed,
                           size_t rows) {
  grow(tokens.size());
  start(Pass::kNormed, std::array{Input{tokens, &kv, position, rows}}, normed);
}

void Forward::begin_ahead(std::span<const int32_t> next, nn::KvCache& kv, size_t position, float* logits, size_t rows) {
  if (ahead_.size() < x_.size()) ahead_ = AlignedBuffer<float>(x_.size(), runtime_.allocator.get());
  start(Pass::kAhead, std::array{Input{next, &kv, position, rows}}, logits);
}

void Forward::begin_further(int32_t next, nn::KvCache& kv, size_t position, float* logits) {
  const size_t hidden_size = model_.shape().hidden_size;
  if (rows() > 1) std::copy_n(ahead_.data() + (rows() - 1) * hidden_size, hidden_size, ahead_.data());
  start(Pass::kFurther, std::array{Input{{&next, 1}, &kv, position, 1}}, logits);
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
  if (profile != nullptr) profile->end_pass(rows());
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
  const nn::Batch batch{tokens_, sequences_, cos_.data(), sin_.data()};
  const nn::Tensor x{x_.data(), rows(), shape.hidden_size, shape.hidden_size};
  const nn::Tensor ahead{ahead_.data(), rows(), shape.hidden_size, shape.hidden_size};
  const nn::Tensor logits{logits_, logit_rows_, shape.vocab_size, shape.vocab_size};
  const bool main = this->main(), last = part_ + 1 == parts();
  if (step.profile != nullptr) step.profile->enter_layer(!last && (part_ > 0 || !main));
  if (last && logit_rows_ > 0 && pass_ == Pass::kNormed) {
    model_.normed(step, wanted(step, x), {logits_, logit_rows_, shape.hidden_size, shape.hidden_size});
  } else if (last && logit_rows_ > 0 && main) {
    model_.head(step, wanted(step, x), logits);
  } else if (last && logit_rows_ > 0) {
    model_.ahead_head(step, wanted(step, ahead), logits);
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

// The rows of x whose logits are wanted.
nn::Tensor Forward::wanted(nn::Step& step, const nn::Tensor& x) const {
  if (logit_rows_ == x.rows || sequences_.size() == 1) return x.slice(x.rows - logit_rows_, logit_rows_);
  const nn::Tensor out = step.arena.tensor(logit_rows_, x.cols);
  for (size_t i = 0, n = 0; i < sequences_.size(); ++i) {
    const size_t end = sequences_[i].first_row + sequences_[i].rows;
    for (size_t row = end - wanted_[i]; row < end; ++row) std::copy_n(x.row(row), x.cols, out.row(n++));
  }
  return out;
}

}  // namespace kette
