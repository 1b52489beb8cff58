/// Many sessions of one model, advanced together: each weight is read once for the next tokens of all of them.
///
///   kette::scheduler npcs{m, 16};
///   for (kette::session& s : sessions) npcs.add(s);
///   sessions[3].chat("Hello?").start();
///   npcs.step(std::chrono::microseconds{1500});                // each frame
///   for (kette::event e; npcs.poll(e);) show(e.user(), e.text());
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>

#include "kette/session.hpp"

KETTE_BEGIN_NAMESPACE

/// Sessions stay the caller's: they may move, and end before the scheduler or after it, in the midst of an answer too.
/// In a scheduler all of a session works as ever; a step of one, a stream's iteration, text() and reply() advance the
/// others as well, whose events wait. A scheduler and its sessions are used by one thread at a time. Keeps its model
/// alive. Move-only.
class scheduler {
 public:
  /// max_batch, 1 to 64: so many sessions go into one pass at most; more may be added and take turns. Fails with
  /// invalid_argument, budget, or misuse on a model opened for its vocabulary only.
  static result<scheduler> create(const model& m, std::uint32_t max_batch = 16) {
    kette_scheduler* made = nullptr;
    auto called = detail::call([&](kette_error** e) { return kette_scheduler_new(m.raw(), max_batch, &made, e); });
    if (!called) return called.error();
    return scheduler(made);
  }
  /// As create(), throwing (or calling the failure handler) on an error.
  explicit scheduler(const model& m, std::uint32_t max_batch = 16) : scheduler(create(m, max_batch).value()) {}

  /// An answer under way goes on here. Fails with misuse if the session is in a scheduler, invalid_argument if it is of
  /// another model.
  result<void> add(session& s) {
    state_->sessions.reserve(state_->sessions.size() + 1);
    auto added = detail::call([&](kette_error** e) { return kette_scheduler_add(raw(), s.raw(), e); });
    if (!added) return added;
    state_->sessions.push_back(s.state_.get());
    s.state_->scheduler = state_.get();
    return added;
  }
  /// An answer under way goes on alone. Fails with misuse if the session is not in this scheduler.
  result<void> remove(session& s) {
    auto removed = detail::call([&](kette_error** e) { return kette_scheduler_remove(raw(), s.raw(), e); });
    if (!removed) return removed;
    state_->forget(s.state_.get());
    s.state_->scheduler = nullptr;
    return removed;
  }

  /// Work on all started answers for about `budget` (0: until one has an event). True if none is under way any more.
  result<bool> step(std::chrono::microseconds budget) {
    constexpr std::chrono::microseconds::rep most = std::numeric_limits<std::uint32_t>::max();
    const auto us = budget.count() < 0 ? 1 : std::min(budget.count(), most);
    kette_error* e = nullptr;
    const kette_status s = kette_scheduler_step(raw(), static_cast<std::uint32_t>(us), &e);
    if (s < 0) return detail::take_error(s, e);
    return s == KETTE_DONE;
  }
  /// The next event of any of the sessions, in turns, if there is one: true and `out`, whose session() says whose it is.
  bool poll(event& out) {
    if (kette_scheduler_poll(raw(), &out.raw(), nullptr) != KETTE_OK) return false;
    for (detail::session_state* s : state_->sessions)
      if (s->raw() == out.session()) return s->note(out), true;
    return true;
  }

  /// The C handle; still owned by this object.
  kette_scheduler* raw() const noexcept { return state_->handle.get(); }

 private:
  explicit scheduler(kette_scheduler* adopted) : state_(std::make_unique<detail::scheduler_state>(adopted)) {}

  std::unique_ptr<detail::scheduler_state> state_;
};
static_assert(sizeof(scheduler) == sizeof(void*), "a handle is one pointer wide");

KETTE_END_NAMESPACE
