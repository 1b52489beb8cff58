// One conversation: the tokens it holds, their KV cache, and the answer being generated.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/kv_cache.h"
#include "runtime/adapter.h"
#include "runtime/answer.h"
#include "runtime/drafter.h"
#include "runtime/forward.h"
#include "runtime/loaded_model.h"
#include "runtime/session_file.h"

namespace kette {

class Scheduler;

struct Metrics {
  uint64_t prompt_tokens = 0, cached_tokens = 0, gen_tokens = 0;
  uint64_t drafted_tokens = 0, accepted_tokens = 0;
  uint64_t ttft_us = 0, prefill_us = 0, decode_us = 0;
  uint64_t steps = 0, step_overrun_max_us = 0, quantum_max_us = 0;  // of steps with a budget
  uint64_t reasoning_tokens = 0;
  ThoughtEnd thought_end = ThoughtEnd::kNone;
  uint32_t dropped_messages = 0;
};

class Session {
 public:
  // So many guesses and the token before them are still few rows: each row's bits do not depend on the others.
  static constexpr uint32_t kMaxDraft = nn::kFewRows - 1;

  static Result<std::unique_ptr<Session>> make(std::shared_ptr<const LoadedModel> loaded, size_t max_context,
                                               std::optional<nn::KvType> kv_type);
  ~Session();
  // A second session that goes on from the tokens this one holds.
  Result<std::unique_ptr<Session>> fork() const;

  // Append tokens; the logits of the last `rows` go to logits [rows][vocab_size]. Fails without effect.
  Status eval(std::span<const Token> tokens, float* logits, size_t rows);
  Status rewind(size_t n_tokens);

  // What it holds, to be written by the result while the session stays as it is; kMisuse during an answer.
  Result<SessionWriter> save() const;
  // To a file, whole or not at all.
  Status save_file(const std::string& path) const;
  // Hold what was saved instead, with the same bits; see read_session. Needs memory for both. Fails without effect.
  Status load(const Source& source);
  // Add an adapter of the session's model to those attached, change its scale, or with 0 take it away; or take all
  // away. What the session holds was made with other weights: where something changes, it then holds nothing.
  Status set_adapter(std::shared_ptr<const Adapter> adapter, float scale);
  Status clear_adapters();
  // Sessions of one model with the same key make the same keys and values of the same tokens; empty: no adapters.
  std::string adapter_key() const { return adapters_.key(); }

  // Start an answer to a prompt that is the whole sequence; what the session already holds of it is kept, and whole
  // pages that other sessions of the model have evaluated are taken.
  Status begin_chat(PreparedChat chat, GenerateOptions options);
  Status begin(std::vector<Token> prompt, GenerateOptions options) {
    return begin_chat({std::move(prompt), {}, 0}, std::move(options));
  }
  // Work until there is an event (budget_us = 0) or for about budget_us. True once the answer has ended. kMisuse where a
  // scheduler does that.
  Result<bool> step(uint32_t budget_us);
  bool generating() const { return work_.has_value(); }
  // The next event, if there is one.
  std::optional<Event> poll();
  bool has_event() const { return next_event_ < events_.size(); }
  // End the answer where it is.
  void stop();
  // Measure where the time of passes and of choosing tokens goes from here on, anew if that was on; or stop. What is
  // computed is the same, bit for bit.
  void set_profile(bool on) { forward_.set_profile(on); }
  // What was measured (runtime/profile_json.h); kMisuse if nothing ever was.
  Result<std::string> profile() const;
  // What the answer under way, or that ended last, has come to.
  const AnswerMessage& message() const { return work_ ? work_->answer.message() : message_; }

  size_t length() const { return tokens_.size(); }
  size_t capacity() const { return kv_.capacity(); }
  const Metrics& metrics() const { return metrics_; }
  uint64_t kv_bytes() const { return kv_.bytes(); }
  uint64_t scratch_bytes() const { return forward_.scratch_bytes() + logits_.size() * sizeof(float); }
  const nn::KvCache& kv() const { return kv_; }  // to be looked at
  const LoadedModel& loaded() const { return *loaded_; }
  Scheduler* scheduler() const { return scheduler_; }  // that it is in; nullptr: none

 private:
  friend class Scheduler;
  // The answer under way and how far the forward passes for it have come.
  struct Work {
    explicit Work(Answer a) : answer(std::move(a)) {}
    Answer answer;
    std::vector<Token> pending;  // of the prompt, not yet evaluated; then the token chosen last, what has to follow it,
                                 // and guesses after that
    size_t drafted = 0;          // how many of pending are guesses
    size_t most = 0;             // guesses wanted by the look ahead under way
    size_t standing = 0;         // rows of the last pass whose tokens stand, until that look ahead begins
    size_t evaluated = 0;        // of pending
    bool shares_pass = false;    // the next of pending are in a scheduler's pass under way
    bool catching_up = false;    // the module is behind: it goes over the stretch of the prompt just evaluated
    bool looking_ahead = false;  // pending is whole once the module has guessed
    DraftGovernor governor;
    Clock::time_point step_began = Clock::now();
    Clock::time_point began = Clock::now();
  };

  Session(std::shared_ptr<const LoadedModel> loaded, nn::KvCache kv);
  Status check(std::span<const Token> tokens) const;
  Status use_adapters();
  const Model& model() const { return *loaded_->model(); }
  Result<SessionIdentity> identity() const;
  // session_prefix.cpp
  struct Reuse {
    size_t own = 0;              // tokens of a prompt that the session holds
    size_t kept = 0, ahead = 0;  // that need no evaluation, by the model and by its module
    size_t first_page = 0;       // from which on these pages are to be taken
    std::vector<nn::KvPage::Ref> pages;
  };
  Reuse reuse(std::span<const Token> prompt, bool ahead_too) const;
  void publish();
  void drop_behind(size_t n);
  Result<bool> work(std::optional<Clock::time_point> deadline);
  Result<bool> evaluate_pending(std::optional<Clock::time_point> deadline);
  Status pending_done(std::span<float> logits);
  void count_time(Clock::duration time);
  void took(size_t rows);
  Status choose(std::span<float> logits);
  // Whether the answer goes on after a token of it; `ahead` more are taken and not evaluated yet.
  bool goes_on(Finish finish, size_t ahead);
  void draft(size_t standing);
  Result<bool> look_ahead(std::optional<Clock::time_point> deadline);
  // The module's keys and values stand for positions before n - 1 at most: each is made with the token that follows.
  void keep_ahead(size_t n) { ahead_length_ = std::min(ahead_length_, n > 0 ? n - 1 : 0); }
  void finish(Finish reason);
  // session_pass.cpp: what passes take of a session, its own and those that a scheduler shares out.
  size_t most_rows(bool budget) const;
  size_t rows_of_pass(size_t most, size_t left) const;
  void make_room(size_t n);
  size_t rows_left() const { return work_->pending.size() - work_->evaluated; }
  Forward::Input next_rows(size_t most);
  void share_passes();
  void passed(size_t rows, std::span<float> logits, Clock::duration time);
  const CancelFlag* cancel_flag() const { return work_->answer.options().cancel.get(); }
  void cancel();
  void fail(const Status& status);
  // What the answer came to stays; its end is not told.
  void end_work() noexcept;

  std::shared_ptr<const LoadedModel> loaded_;
  nn::KvCache kv_;
  AttachedAdapters adapters_;
  Forward forward_;
  std::vector<Token> tokens_;    // what the cache holds
  size_t ahead_length_ = 0;      // positions that the module's layer of the cache holds
  size_t loaded_length_ = 0;     // of tokens_, how many came from a file
  size_t published_ = 0;         // pages that the model's other sessions may know of
  AlignedBuffer<float> logits_;  // [1 + guesses][vocab_size]
  std::optional<Work> work_;
  Scheduler* scheduler_ = nullptr;
  AnswerMessage message_;      // of the answer that ended last
  std::vector<Event> events_;  // in order; next_event_ is the first not polled
  size_t next_event_ = 0;
  Metrics metrics_;
};

}  // namespace kette
