// What forward passes take of a session, its own passes and those that a scheduler shares out, and what they bring it.
#include <algorithm>

#include "runtime/session.h"

namespace kette {
namespace {

// Multiply-adds that a thread gets through in a microsecond, low: to size pieces to the quantum.
constexpr size_t kWorkPerMicrosecond = 20'000;

}  // namespace

// Rows that a pass takes at most. With a budget the prompt goes in shorter passes, so that a piece of a matmul (64 rows
// of a weight as wide as the widest, about four times the hidden size) stays within the quantum.
size_t Session::most_rows(bool budget) const {
  if (!budget) return Forward::kMaxRows;
  const size_t rows = loaded_->runtime().quantum_us * kWorkPerMicrosecond / (64 * 4 * model().shape().hidden_size);
  const size_t few = nn::few_rows(loaded_->runtime().kernels);
  return std::clamp<size_t>(rows / 8 * 8, std::max(3 * nn::kFewRows, 2 * (few + 1)), Forward::kMaxRows);
}

// How many of the `left` tokens the next pass takes. The last pass is never of few rows unless it is the only one: how a
// prompt is cut then has no effect on the sums (but in fast mode on the form of latent attention, which goes by the rows).
size_t Session::rows_of_pass(size_t most, size_t left) const {
  const size_t few = nn::few_rows(loaded_->runtime().kernels);
  if (left <= most) return left;
  return left - most > few ? most : left - few - 1;
}

// So that adding n tokens cannot fail.
void Session::make_room(size_t n) {
  if (tokens_.capacity() - tokens_.size() < n) tokens_.reserve(std::max(tokens_.size() + n, 2 * tokens_.capacity()));
}

// The next of the pending tokens, for a pass of at most so many rows.
Forward::Input Session::next_rows(size_t most) {
  const Work& w = *work_;
  const size_t left = rows_left(), n = rows_of_pass(most, left);
  make_room(n);
  return {{w.pending.data() + w.evaluated, n}, &kv_, length(), n == left ? 1 + w.drafted : 0};
}

// A scheduler evaluates what is pending, from here on. A pass of the session's own begins again there, and nothing is
// guessed any more in this answer: the rows of others fill a pass better.
void Session::share_passes() {
  Work& w = *work_;
  forward_.drop();
  w.pending.resize(w.pending.size() - w.drafted);
  w.drafted = w.most = w.standing = 0;
  w.catching_up = w.looking_ahead = false;
  w.answer.options().speculation = Speculation::kOff;
}

// A scheduler's pass over so many of the pending tokens is done, and took so long. logits: of the last, if nothing is
// left. What goes wrong is this session's alone.
void Session::passed(size_t rows, std::span<float> logits, Clock::duration time) {
  count_time(time);
  if (cancelled(cancel_flag())) return cancel();  // as if the pass had been dropped
  took(rows);
  if (rows_left() > 0) return;
  if (const Status status = pending_done(logits); !status.ok()) fail(status);
}

void Session::cancel() {
  forward_.drop();
  finish(Finish::kCancelled);
}

// The answer has broken off, which is told as an event.
void Session::fail(const Status& status) {
  end_work();
  Event event;
  event.kind = Event::Kind::kFailed;
  event.text = status.message();
  event.failure = status.code();
  event.index = static_cast<uint32_t>(metrics_.gen_tokens);
  events_.push_back(std::move(event));
}

}  // namespace kette
