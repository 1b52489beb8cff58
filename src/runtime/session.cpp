#include "runtime/session.h"

#include <algorithm>
#include <cmath>

#include "runtime/profile_json.h"
#include "runtime/scheduler.h"

namespace kette {
namespace {

constexpr size_t kMaxContext = 1 << 26;
constexpr float kMaxAdapterScale = 1e6f;

uint64_t microseconds(Clock::duration d) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
}

}  // namespace

Session::Session(std::shared_ptr<const LoadedModel> loaded, nn::KvCache kv)
    : loaded_(std::move(loaded)),
      kv_(std::move(kv)),
      forward_(*loaded_->model(), loaded_->runtime(), loaded_->mode()),
      logits_(loaded_->model()->shape().vocab_size, loaded_->runtime().allocator.get()) {}

Result<std::unique_ptr<Session>> Session::make(std::shared_ptr<const LoadedModel> loaded, size_t max_context,
                                               std::optional<nn::KvType> kv_type) {
  if (loaded->model() == nullptr)
    return error(Code::kMisuse, "the model was opened for its vocabulary only; a session needs weights");
  const ModelShape& shape = loaded->model()->shape();
  const size_t capacity =
      max_context > 0 ? max_context : std::min<size_t>(shape.max_position_embeddings, kDefaultContext);
  if (capacity > kMaxContext)
    return error(Code::kInvalidArgument, "max_context: {}, expected at most {}", capacity, kMaxContext);
  const nn::KvType type = kv_type.value_or(loaded->mode() == nn::Mode::kExact ? nn::KvType::kF32 : nn::KvType::kF16);
  KETTE_ASSIGN(const size_t kv_bytes, nn::KvCache::size(shape.kv, type, capacity));
  KETTE_TRY(loaded->check_budget(capacity, kv_bytes));
  KETTE_ASSIGN(nn::KvCache kv, nn::KvCache::make(shape.kv, type, capacity, loaded->runtime().allocator.get()));
  return std::unique_ptr<Session>(new Session(std::move(loaded), std::move(kv)));
}

Result<std::unique_ptr<Session>> Session::fork() const {
  KETTE_ASSIGN(std::unique_ptr<Session> copy, make(loaded_, kv_.capacity(), kv_.type()));
  copy->kv_ = kv_.share(length());
  // A pass under way, or to be run again, goes on in the pages made ready for it: of those the copy gets its own.
  const bool in_module = work_ && (work_->catching_up || (work_->looking_ahead && work_->standing == 0));
  if (in_module || (work_ && (forward_.under_way() || work_->shares_pass))) {
    const size_t from = in_module ? length() - forward_.rows() : length();
    if (from < nn::kv_pages(length()) * KETTE_KV_PAGE)
      copy->kv_.prepare(std::min(from, length() - 1), length(), length());
  }
  copy->tokens_ = tokens_;
  copy->ahead_length_ = ahead_length_;
  copy->adapters_ = adapters_;
  copy->forward_.set_adapters(copy->adapters_.in_pass());
  copy->loaded_length_ = loaded_length_;
  copy->published_ = published_;
  return copy;
}

Status Session::check(std::span<const Token> tokens) const {
  const size_t vocab_size = model().shape().vocab_size;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || static_cast<size_t>(tokens[i]) >= vocab_size)
      return error(Code::kInvalidArgument, "token {} is {}, expected 0 to {}", i, tokens[i], vocab_size - 1);
  return {};
}

Status Session::eval(std::span<const Token> tokens, float* logits, size_t rows) {
  if (work_) return error(Code::kMisuse, "eval while an answer is under way");
  if (tokens.empty()) return error(Code::kInvalidArgument, "eval of no tokens");
  if (rows > tokens.size())
    return error(Code::kInvalidArgument, "logits of {} rows asked for, {} tokens given", rows, tokens.size());
  KETTE_TRY(check(tokens));
  if (tokens.size() > capacity() - length())
    return error(Code::kContextFull, "{} tokens held and {} given, the context holds {}", length(), tokens.size(),
                 capacity());
  const nn::Phase phase(forward_.measuring(), "session");
  keep_ahead(length());
  const size_t silent = tokens.size() - rows;  // leading rows whose logits nobody wants
  make_room(tokens.size());
  for (size_t done = 0; done < tokens.size();) {
    const size_t n = rows_of_pass(most_rows(false), tokens.size() - done);
    const size_t wanted = done + n > silent ? std::min(n, done + n - silent) : 0;
    float* out = wanted > 0 ? logits + (done + n - wanted - silent) * model().shape().vocab_size : nullptr;
    forward_.begin(tokens.subspan(done, n), kv_, length() + done, out, wanted);
    KETTE_TRY(forward_.run(std::nullopt, nullptr).status());
    done += n;
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  publish();
  return {};
}

Status Session::rewind(size_t n_tokens) {
  if (work_) return error(Code::kMisuse, "rewind while an answer is under way");
  if (n_tokens > length())
    return error(Code::kInvalidArgument, "rewind to {} tokens, the session holds {}", n_tokens, length());
  keep_ahead(n_tokens);
  drop_behind(n_tokens);
  return {};
}

Status Session::set_adapter(std::shared_ptr<const Adapter> adapter, float scale) {
  if (work_) return error(Code::kMisuse, "set_adapter while an answer is under way");
  if (&adapter->loaded() != loaded_.get())
    return error(Code::kInvalidArgument, "the adapter was opened for another model than the session's");
  if (!(std::fabs(scale) <= kMaxAdapterScale))
    return error(Code::kInvalidArgument, "scale: {}, expected -{} to {}", scale, kMaxAdapterScale, kMaxAdapterScale);
  const bool changed = adapters_.set(std::move(adapter), scale);
  return changed ? use_adapters() : Status();
}

Status Session::clear_adapters() {
  if (work_) return error(Code::kMisuse, "clear_adapters while an answer is under way");
  return adapters_.clear() ? use_adapters() : Status();
}

Status Session::use_adapters() {
  forward_.set_adapters(adapters_.in_pass());
  return rewind(0);
}

Status Session::begin_chat(PreparedChat chat, GenerateOptions options) {
  std::vector<Token>& prompt = chat.prompt;
  if (work_) return error(Code::kMisuse, "an answer is already under way");
  if (prompt.empty()) return error(Code::kInvalidArgument, "the prompt has no tokens");
  KETTE_TRY(check(prompt));
  if (prompt.size() > capacity())
    return error(Code::kContextFull, "the prompt has {} tokens, the context holds {}", prompt.size(), capacity());
  KETTE_TRY(validate(options.sampling, static_cast<int32_t>(model().shape().vocab_size)));
  KETTE_TRY(check(options.stop_tokens).within("stop_tokens"));
  if (options.max_draft > kMaxDraft)
    return error(Code::kInvalidArgument, "max_draft: {}, expected at most {}", options.max_draft, kMaxDraft);
  if (options.speculation == Speculation::kLookAhead && !model().looks_ahead())
    return error(Code::kUnsupported, "speculation: the model has no multi-token prediction module");
  if (options.top_logprobs > kMostTopLogprobs)
    return error(Code::kInvalidArgument, "top_logprobs: {}, expected at most {}", options.top_logprobs,
                 kMostTopLogprobs);
  for (const std::string& stop : options.stop)
    if (stop.empty()) return error(Code::kInvalidArgument, "a stop string is empty");
  if (options.max_draft == 0) options.max_draft = options.speculation == Speculation::kLookUp ? 4 : 1;
  KETTE_ASSIGN(Answer answer, Answer::make(*loaded_, std::move(options), std::move(chat.format), prompt));
  Work work(std::move(answer));
  Speculation& speculation = work.answer.options().speculation;
  const Reuse reused = reuse(prompt, speculation == Speculation::kLookAhead);
  if (speculation == Speculation::kAuto)
    speculation =
        model().looks_ahead() && reused.ahead + 1 >= reused.kept ? Speculation::kLookAhead : Speculation::kOff;
  // The module needs hidden states, which nobody keeps.
  const size_t kept = speculation == Speculation::kLookAhead ? reused.ahead : reused.kept;
  work.pending.assign(prompt.begin() + static_cast<ptrdiff_t>(kept), prompt.end());
  tokens_.reserve(prompt.size());
  kv_.adopt(reused.first_page, reused.pages);
  // From here on nothing fails.
  ahead_length_ = reused.ahead;
  loaded_length_ = std::min(loaded_length_, reused.own);
  published_ = 0;
  tokens_.assign(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(kept));
  drop_behind(kept);
  metrics_ = {};
  forward_.begin_measuring();
  metrics_.prompt_tokens = prompt.size();
  metrics_.cached_tokens = kept;
  metrics_.dropped_messages = chat.dropped_messages;
  events_.clear();
  next_event_ = 0;
  message_ = {};
  work_.emplace(std::move(work));
  return {};
}

Result<std::string> Session::profile() const {
  if (forward_.profile() == nullptr) return error(Code::kMisuse, "the session was never told to measure");
  return profile_json(*forward_.profile(), model().shape().num_hidden_layers);
}

Result<bool> Session::step(uint32_t budget_us) {
  if (work_ && scheduler_ != nullptr)
    return error(Code::kMisuse, "step of a session in a scheduler, whose steps advance its answers");
  if (budget_us == 0) return work(std::nullopt);
  const Clock::time_point deadline = Clock::now() + std::chrono::microseconds(budget_us);
  auto done = work(deadline);
  const Clock::time_point now = Clock::now();
  ++metrics_.steps;
  if (now > deadline)
    metrics_.step_overrun_max_us = std::max(metrics_.step_overrun_max_us, microseconds(now - deadline));
  metrics_.quantum_max_us = microseconds(forward_.longest_piece());
  return done;
}

Result<bool> Session::work(std::optional<Clock::time_point> deadline) {
  const nn::Phase phase(forward_.measuring(), "session");
  while (work_) {
    if (cancelled(cancel_flag())) {  // also where there is no memory to go on with
      cancel();
      return true;
    }
    const Clock::time_point start = Clock::now();
    const bool ahead = work_->looking_ahead;
    auto done = ahead ? look_ahead(deadline) : evaluate_pending(deadline);
    count_time(Clock::now() - start);
    if (!done.ok()) {
      if (done.status().code() != Code::kCancelled) {
        end_work();
        return std::move(done).status();
      }
      finish(Finish::kCancelled);
      return true;
    }
    if (!*done) return false;
    if (ahead) continue;
    KETTE_TRY(pending_done(logits_.span()));
    if (work_ && (!deadline || Clock::now() >= *deadline)) return false;
  }
  return true;
}

void Session::count_time(Clock::duration time) {
  (work_->answer.generated() == 0 ? metrics_.prefill_us : metrics_.decode_us) += microseconds(time);
}

// All that was pending is evaluated: go on from the logits of the last, and of the token before each guess.
Status Session::pending_done(std::span<float> logits) {
  struct EndUnlessChosen {  // an error or exception would leave the sampler ahead of the tokens, or nothing pending
    Session* session;
    ~EndUnlessChosen() {
      if (session != nullptr) session->end_work();
    }
  } unless_chosen{this};
  if (work_->answer.options().prompt_only)
    finish(Finish::kLength);
  else
    KETTE_TRY(choose(logits));
  unless_chosen.session = nullptr;
  return {};
}

// Bring the pending tokens into the cache; true when the logits of the last, and of the token before each guess, are
// there.
Result<bool> Session::evaluate_pending(std::optional<Clock::time_point> deadline) {
  Work& w = *work_;
  while (w.evaluated < w.pending.size()) {
    if (w.catching_up) {
      KETTE_ASSIGN(const bool caught_up, forward_.run(deadline, w.answer.options().cancel.get()));
      if (!caught_up) return false;
      w.catching_up = false;
      ahead_length_ = length();
      publish();
    }
    if (!forward_.under_way()) {
      const Forward::Input input = next_rows(most_rows(deadline.has_value()));
      const size_t wanted = input.rows * model().shape().vocab_size;
      if (logits_.size() < wanted) logits_ = AlignedBuffer<float>(wanted, loaded_->runtime().allocator.get());
      forward_.begin({&input, 1}, logits_.data());
    }
    KETTE_ASSIGN(const bool done, forward_.run(deadline, w.answer.options().cancel.get()));
    if (!done) return false;
    const size_t rows = forward_.rows();
    // First, for it may find no memory: the stretch is then evaluated again.
    if (w.answer.options().speculation == Speculation::kLookAhead && rows < rows_left()) {
      forward_.begin_ahead(std::span(w.pending).subspan(w.evaluated + 1, rows), kv_, length(), nullptr, 0);
      w.catching_up = true;
    }
    took(rows);
  }
  return true;
}

// So many more of the pending tokens are in the cache.
void Session::took(size_t rows) {
  Work& w = *work_;
  w.evaluated += rows;
  // A guess stands once the model has chosen it too.
  const size_t sure = std::min(w.evaluated, w.pending.size() - w.drafted);
  tokens_.insert(tokens_.end(), w.pending.begin() + static_cast<ptrdiff_t>(w.evaluated - rows),
                 w.pending.begin() + static_cast<ptrdiff_t>(sure));
  publish();
}

// Choose the next token, show it, and decide whether the answer goes on; where it is the one that was guessed, the
// logits after it are there already.
Status Session::choose(std::span<float> logits) {
  const nn::Phase phase(forward_.measuring(), "choose token");
  Work& w = *work_;
  const size_t vocab_size = model().shape().vocab_size;
  const std::span<const Token> guesses = std::span(w.pending).last(w.drafted);
  metrics_.drafted_tokens += guesses.size();
  Token token = -1;
  size_t row = 0;
  std::vector<Token> forced;
  for (bool right = true; right; ++row) {
    KETTE_ASSIGN(token, w.answer.choose(logits.subspan(row * vocab_size, vocab_size)));
    KETTE_ASSIGN(const Finish end, w.answer.take(token, events_));
    if (!goes_on(end, 0)) return {};
    forced = w.answer.forced();
    right = row < guesses.size() && token == guesses[row] && forced.empty();
    if (!right) continue;
    tokens_.push_back(token);
    ++metrics_.accepted_tokens;
  }
  if (w.answer.generated() > row)
    w.governor.record(guesses.size(), row, microseconds(Clock::now() - w.step_began));  // not the prompt's
  w.step_began = Clock::now();
  const size_t standing = forward_.rows() - (guesses.size() - (row - 1));
  w.pending.assign(1, token);
  w.evaluated = w.drafted = 0;
  for (const Token next : forced) {
    w.pending.push_back(next);
    if (!goes_on(w.answer.take_forced(next, events_), w.pending.size() - 1)) return {};
  }
  draft(standing);
  return {};
}

bool Session::goes_on(Finish end, size_t ahead) {
  const Answer& answer = work_->answer;
  metrics_.gen_tokens = answer.generated();
  metrics_.reasoning_tokens = answer.thought_tokens();
  metrics_.thought_end = answer.thought_end();
  if (answer.generated() == 1) metrics_.ttft_us = microseconds(Clock::now() - work_->began);
  if (end == Finish::kNone && length() + ahead >= capacity()) end = Finish::kContextFull;
  if (end != Finish::kNone) finish(end);
  return work_.has_value();
}

// What is guessed to come after the pending tokens. `standing`: rows of the pass just done whose tokens stand.
void Session::draft(size_t standing) {
  Work& w = *work_;
  GenerateOptions& options = w.answer.options();
  // The module would have to follow, at a cost, where it only rests: it is let go for the rest of the answer.
  if (options.speculation == Speculation::kLookAhead && w.governor.gave_up()) options.speculation = Speculation::kOff;
  if (options.speculation == Speculation::kOff) return;
  // After tokens that had to follow nothing is guessed: of them no hidden state is there yet.
  const bool allowed = w.pending.size() == 1 && w.governor.allows();
  size_t most = allowed ? std::min<size_t>(options.max_draft, capacity() - length() - 1) : 0;
  if (options.max_tokens > 0) most = std::min<size_t>(most, options.max_tokens - w.answer.generated() - 1);
  if (options.speculation == Speculation::kLookAhead) {
    w.pending.reserve(w.pending.size() + most);
    w.most = most;
    w.standing = standing;
    w.looking_ahead = true;
    return;
  }
  if (most == 0) return;
  tokens_.push_back(w.pending[0]);  // to be seen, though it is not evaluated yet
  struct Unsay {
    std::vector<Token>* tokens;
    ~Unsay() { tokens->pop_back(); }
  } unsay{&tokens_};
  const std::span<const Token> guesses = look_up(tokens_, most);
  w.pending.insert(w.pending.end(), guesses.begin(), guesses.end());
  w.drafted = guesses.size();
}

// The module guesses one token after another, each from its own state of the one before.
Result<bool> Session::look_ahead(std::optional<Clock::time_point> deadline) {
  Work& w = *work_;
  if (w.standing > 0) {  // what follows those rows: the tokens after them, and the one chosen last
    std::vector<Token> next(tokens_.end() - static_cast<ptrdiff_t>(w.standing - 1), tokens_.end());
    next.push_back(w.pending.front());
    forward_.begin_ahead(next, kv_, length() - w.standing, logits_.data(), w.most > 0 ? 1 : 0);
    w.standing = 0;
  }
  for (;;) {
    KETTE_ASSIGN(const bool done, forward_.run(deadline, w.answer.options().cancel.get()));
    if (!done) return false;
    if (w.drafted == 0) ahead_length_ = length();
    if (w.drafted == w.most) break;
    const std::span<const float> logits = logits_.span().first(model().shape().vocab_size);
    const auto guess = static_cast<Token>(std::ranges::max_element(logits) - logits.begin());
    // First, for it may find no memory.
    if (w.drafted + 1 < w.most) forward_.begin_further(guess, kv_, length() + w.drafted, logits_.data());
    w.pending.push_back(guess);
    if (++w.drafted == w.most) break;
  }
  w.looking_ahead = false;
  if (w.most == 0) w.step_began = Clock::now();  // a plain step does without the module
  return true;
}

void Session::finish(Finish reason) {
  work_->answer.finish(reason, events_);
  metrics_.thought_end = work_->answer.thought_end();
  end_work();
}

void Session::end_work() noexcept {
  if (work_) message_ = std::move(work_->answer).message();
  work_.reset();
}

void Session::stop() {
  if (scheduler_ != nullptr) scheduler_->leave_pass(*this);
  end_work();
  forward_.drop();
  events_.clear();
  next_event_ = 0;
}

std::optional<Event> Session::poll() {
  if (next_event_ == events_.size()) return std::nullopt;
  Event event = std::move(events_[next_event_++]);
  if (next_event_ == events_.size()) {
    events_.clear();
    next_event_ = 0;
  }
  return event;
}

}  // namespace kette
