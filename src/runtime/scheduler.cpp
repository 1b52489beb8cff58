#include "runtime/scheduler.h"

#include <algorithm>
#include <ranges>

namespace kette {
namespace {

// Of a prompt, in a pass between two of the others' next tokens.
constexpr size_t kPromptRows = 64;

Status no_memory() { return error(Code::kOutOfMemory, "no memory for what the answer adds to its session"); }

}  // namespace

Scheduler::Scheduler(std::shared_ptr<const LoadedModel> loaded, uint32_t max_batch)
    : loaded_(std::move(loaded)),
      max_batch_(max_batch),
      forward_(*loaded_->model(), loaded_->runtime(), loaded_->mode()) {}

Result<std::unique_ptr<Scheduler>> Scheduler::make(std::shared_ptr<const LoadedModel> loaded, uint32_t max_batch) {
  if (loaded->model() == nullptr)
    return error(Code::kMisuse, "the model was opened for its vocabulary only; a scheduler needs weights");
  if (max_batch < 1 || max_batch > kMostBatch)
    return error(Code::kInvalidArgument, "max_batch: {}, expected 1 to {}", max_batch, kMostBatch);
  KETTE_TRY(loaded->check_scheduler_budget(max_batch));
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(loaded), max_batch));
}

Scheduler::~Scheduler() {
  drop_pass();
  for (Session* s : sessions_) s->scheduler_ = nullptr;
}

Status Scheduler::add(Session& session) {
  if (session.scheduler_ != nullptr)
    return error(Code::kMisuse, "the session is in {} scheduler already",
                 session.scheduler_ == this ? "this" : "another");
  if (session.loaded_ != loaded_)
    return error(Code::kInvalidArgument, "the session is of another model than the scheduler");
  sessions_.push_back(&session);
  session.scheduler_ = this;
  return {};
}

Status Scheduler::remove(Session& session) {
  if (session.scheduler_ != this) return error(Code::kMisuse, "the session is not in this scheduler");
  forget(session);
  return {};
}

void Scheduler::forget(Session& session) {
  leave_pass(session);
  std::erase(sessions_, &session);
  session.scheduler_ = nullptr;
}

// The session is about to change what the pass under way reads: the others' rows begin again, in another pass.
void Scheduler::leave_pass(const Session& session) {
  const auto part = std::ranges::find(pass_, &session, &Part::session);
  if (part == pass_.end()) return;
  if (!evaluated_) return drop_pass();
  part->session->work_->shares_pass = false;
  pass_.erase(part);
}

void Scheduler::drop_pass() {
  forward_.drop();
  for (const Part& part : pass_) part.session->work_->shares_pass = false;
  pass_.clear();
}

bool Scheduler::generating() const { return std::ranges::any_of(sessions_, &Session::generating); }
bool Scheduler::has_event() const { return std::ranges::any_of(sessions_, &Session::has_event); }

Result<bool> Scheduler::step(uint32_t budget_us) {
  std::optional<Clock::time_point> deadline;
  if (budget_us > 0) deadline = Clock::now() + std::chrono::microseconds(budget_us);
  std::vector<Session*> waiting;
  do {
    end_cancelled();
    if (pass_.empty()) {
      waiting.clear();
      std::ranges::copy_if(sessions_, std::back_inserter(waiting), &Session::generating);
      if (waiting.empty()) return true;
      if (waiting.size() == 1) {
        advance_alone(*waiting[0], deadline);
        continue;
      }
      begin_pass(waiting, deadline.has_value());
    }
    if (!pass_.empty() && !evaluated_) advance_pass(deadline);
    if (!pass_.empty() && evaluated_) tell_pass(deadline);
  } while (deadline ? Clock::now() < *deadline : !has_event());
  return !generating();
}

// Those of the pass under way wait for its end: it is the others' too.
void Scheduler::end_cancelled() {
  for (Session* s : sessions_)
    if (s->work_ && !s->work_->shares_pass && cancelled(s->cancel_flag())) s->cancel();
}

// Who has nobody to share a pass with is stepped as it would be without a scheduler, guesses and all.
void Scheduler::advance_alone(Session& session, std::optional<Clock::time_point> deadline) {
  try {
    if (const auto done = session.work(deadline); !done.ok()) session.fail(done.status());
  } catch (const std::bad_alloc&) {
    if (session.work_) throw;  // the answer can go on, in another step
    session.fail(no_memory());
  }
}

// The next pass: a stretch of one prompt, or what is left to evaluate of all others with the same adapters, a token
// mostly. These take turns, and so do the prompts. Never both in one pass: in fast mode the kernels for few rows and for
// many round differently, and this way the rows meet those that they would meet alone.
void Scheduler::begin_pass(std::span<Session* const> waiting, bool budget) {
  const auto has_few = [](const Session* s) { return s->rows_left() <= nn::kFewRows; };
  for (Session* s : waiting) s->share_passes();
  auto first = std::ranges::find_if(waiting, [&](const Session* s) { return has_few(s) != few_rows_; });
  if (first == waiting.end()) first = waiting.begin();
  const bool few = has_few(*first);
  const std::string key = (*first)->adapter_key();
  size_t most = nn::kFewRows;
  if (!few) {
    most = (*first)->most_rows(budget);
    if (std::ranges::any_of(waiting, has_few)) most = std::min(most, kPromptRows);
  }
  // Of short prompts too, with a budget, no more rows than stay within the quantum; max_batch next tokens always fit.
  const size_t room = few && budget ? std::max((*first)->most_rows(budget), max_batch_) : Forward::kMaxRows;
  const size_t vocab_size = loaded_->model()->shape().vocab_size;
  size_t rows = 0, logits = 0;
  std::vector<Part> parts;
  std::vector<Forward::Input> inputs;
  parts.reserve(waiting.size());
  inputs.reserve(waiting.size());
  for (Session* s : waiting) {
    if (parts.size() == (few ? max_batch_ : 1)) break;
    if (has_few(s) != few || s->adapter_key() != key || (few && rows + s->rows_left() > room)) continue;
    try {
      const Forward::Input in = s->next_rows(most);
      in.kv->prepare(in.position, in.position + in.tokens.size(), in.position);
      inputs.push_back(in);
      parts.push_back({s, in.tokens.size(), logits, in.rows > 0});
      logits += in.rows * vocab_size;
      rows += in.tokens.size();
    } catch (const std::bad_alloc&) {
      s->fail(no_memory());
    }
  }
  if (parts.empty()) return;
  if (logits_.size() < logits) logits_ = AlignedBuffer<float>(logits, loaded_->runtime().allocator.get());
  forward_.set_adapters(parts[0].session->adapters_.in_pass());
  forward_.begin(inputs, logits_.data());
  pass_ = std::move(parts);
  evaluated_ = false;
  few_rows_ = few;
  time_ = {};
  for (const Part& part : pass_) part.session->work_->shares_pass = true;
  std::ranges::stable_partition(sessions_, [](const Session* s) { return !(s->work_ && s->work_->shares_pass); });
}

void Scheduler::advance_pass(std::optional<Clock::time_point> deadline) {
  // A flag that is not everyone's is looked at when the pass is over.
  const CancelFlag* flag = pass_[0].session->cancel_flag();
  for (const Part& part : pass_)
    if (part.session->cancel_flag() != flag) flag = nullptr;
  const Clock::time_point start = Clock::now();
  const auto done = forward_.run(deadline, flag);
  time_ += Clock::now() - start;
  if (!done.ok()) return break_pass(done.status());
  evaluated_ = *done;
}

void Scheduler::break_pass(const Status& status) {
  const std::vector<Part> parts = std::exchange(pass_, {});
  for (const Part& part : parts) part.session->work_->shares_pass = false;
  if (status.code() == Code::kCancelled) return;  // that is told by end_cancelled()
  for (const Part& part : parts) part.session->fail(status);
}

// Tokens are chosen for one session after another: with many of them that takes its time too.
void Scheduler::tell_pass(std::optional<Clock::time_point> deadline) {
  const size_t vocab_size = loaded_->model()->shape().vocab_size;
  do {
    const Part part = pass_.front();
    pass_.erase(pass_.begin());
    part.session->work_->shares_pass = false;
    try {
      part.session->passed(part.rows, logits_.span().subspan(part.logits, part.last ? vocab_size : 0), time_);
    } catch (const std::bad_alloc&) {
      part.session->fail(no_memory());
    }
  } while (!pass_.empty() && !(deadline && Clock::now() >= *deadline));
}

}  // namespace kette
