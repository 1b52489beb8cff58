// Many sessions of one model, advanced together: a pass over the weights evaluates the next tokens of all of them, so each
// weight is read once for all. Prompts are evaluated in between, a stretch at a time.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/session.h"

namespace kette {

class Scheduler {
 public:
  // Sessions whose rows one pass takes at most.
  static constexpr uint32_t kMostBatch = Forward::kMaxRows / nn::kFewRows;

  // kBudget where its scratch is beyond the model's budget.
  static Result<std::unique_ptr<Scheduler>> make(std::shared_ptr<const LoadedModel> loaded, uint32_t max_batch);
  ~Scheduler();  // its sessions go on alone

  // Sessions, any number, stay the caller's, and may end at any time. Answers under way go on, here or alone.
  Status add(Session& session);
  Status remove(Session& session);

  // Advance the answers under way until a session has an event (budget_us = 0) or for about budget_us. True once there
  // are none. What goes wrong in one answer ends that answer, with the event kFailed, and is no failure of the step.
  Result<bool> step(uint32_t budget_us);
  bool generating() const;

  const LoadedModel& loaded() const { return *loaded_; }
  uint64_t scratch_bytes() const { return forward_.scratch_bytes() + logits_.size() * sizeof(float); }

 private:
  friend class Session;
  struct Part {
    Session* session;
    size_t rows;
    size_t logits;  // before its own in logits_
    bool last;      // of what was pending: its logits are wanted
  };

  Scheduler(std::shared_ptr<const LoadedModel> loaded, uint32_t max_batch);
  void forget(Session& session);
  void leave_pass(const Session& session);
  void drop_pass();
  bool has_event() const;
  void end_cancelled();
  void advance_alone(Session& session, std::optional<Clock::time_point> deadline);
  void begin_pass(std::span<Session* const> waiting, bool budget);
  void advance_pass(std::optional<Clock::time_point> deadline);
  void break_pass(const Status& status);
  void tell_pass(std::optional<Clock::time_point> deadline);

  std::shared_ptr<const LoadedModel> loaded_;
  size_t max_batch_;
  Forward forward_;
  AlignedBuffer<float> logits_;     // [sessions][vocab_size]
  std::vector<Session*> sessions_;  // those whose rows were in a pass longest ago first
  std::vector<Part> pass_;          // under way, those not told yet what it brought; empty: none
  bool evaluated_ = false;          // it is done but for that
  bool few_rows_ = false;           // in the pass begun last: next tokens, not a prompt's stretch
  Clock::duration time_{};          // that the pass under way has taken
};

}  // namespace kette
