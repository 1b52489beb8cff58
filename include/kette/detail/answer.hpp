/// Internals of session.hpp: a session's handle with the conversation it keeps and the answer under way. Not for callers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kette/chat.hpp"
#include "kette/generate.hpp"

KETTE_BEGIN_NAMESPACE
namespace detail {

struct session_state;

// A scheduler's handle and the sessions in it.
struct scheduler_state {
  owned<kette_scheduler, kette_scheduler_free> handle;
  std::vector<session_state*> sessions;

  explicit scheduler_state(kette_scheduler* adopted) : handle(adopted) {}
  ~scheduler_state();
  scheduler_state(const scheduler_state&) = delete;
  scheduler_state& operator=(const scheduler_state&) = delete;
  void forget(const session_state* session) noexcept {
    sessions.erase(std::remove(sessions.begin(), sessions.end(), session), sessions.end());
  }
};

struct session_state {
  owned<kette_session, kette_session_free> handle;
  model of;
  cancel own_cancel;              // ends an answer that nobody reads on
  std::vector<message> messages;  // of the conversation that chat(text) goes on with
  result<void> status;            // of the answer begun last

  // The answer under way or not yet read to its end.
  bool answering = false;
  std::uint64_t serial = 0;  // counts answers: a stream knows its own
  bool callers_cancel = false;
  bool keeps_exchange = false;  // the last message is its question; its text becomes the next
  std::size_t generated = 0;
  std::string text;

  scheduler_state* scheduler = nullptr;  // that it is in

  session_state(kette_session* adopted, model m) : handle(adopted), of(std::move(m)) {}
  ~session_state() {
    if (scheduler != nullptr) scheduler->forget(this);
  }
  session_state(const session_state&) = delete;
  session_state& operator=(const session_state&) = delete;

  kette_session* raw() const noexcept { return handle.get(); }

  // `begin` starts the answer through the C ABI; an answer still under way is ended first.
  template <class F>
  result<void> begin(const generate_options& options, F&& start) {
    abandon();
    for (const std::string& s : options.stop)
      if (s.find('\0') != std::string::npos)
        return status = error(errc::invalid_argument, "a stop string has a NUL character");
    own_cancel.reset();
    const gen_params params(options, own_cancel.raw());
    status = call([&](kette_error** e) { return start(params.get(), e); });
    answering = status.ok();
    ++serial;
    callers_cancel = options.cancel != nullptr;
    keeps_exchange = false;
    generated = 0;
    text.clear();
    return status;
  }

  // Work for about budget_us (0: until an event), in a scheduler on all that is in it. True once the answer has ended.
  result<bool> step(std::uint32_t budget_us) {
    kette_error* e = nullptr;
    const kette_status s = scheduler != nullptr ? kette_scheduler_step(scheduler->handle.get(), budget_us, &e)
                                                : kette_session_step(raw(), budget_us, &e);
    // In a scheduler a session is not stepped, unless there is nothing to do.
    if (s >= 0) return s == KETTE_DONE || (scheduler != nullptr && kette_session_step(raw(), 0, nullptr) == KETTE_DONE);
    status = take_error(s, e);
    abandon(false);  // for want of memory it has not ended
    return status.error();
  }

  // KETTE_OK with the next event, KETTE_MORE, KETTE_DONE, or an error which is then in `status`.
  kette_status poll(event& out) {
    kette_error* e = nullptr;
    const kette_status s = kette_session_poll(raw(), &out.raw(), &e);
    if (s < 0) {
      status = take_error(s, e);
      close(false);
    } else if (s == KETTE_OK) {
      note(out);
    } else if (s == KETTE_DONE) {
      close(generated > 0);
    }
    return s;
  }

  // An event of the answer has been fetched.
  void note(const event& e) {
    generated = e.index();
    if (keeps_exchange && e.is_text()) text.append(e.text());
    if (e.is_done()) close(generated > 0 || e.reason() == finish_reason::stop);
    if (!e.is_failed()) return;
    status = error(static_cast<errc>(e.raw().status), std::string(e.text()));
    close(false);
  }

  // The next event, worked for as long as it takes; false at the end and on an error.
  bool next(event& out) {
    for (;;) {
      const kette_status s = poll(out);
      if (s == KETTE_OK) return !out.is_failed();
      if (s != KETTE_MORE || !step(0)) return false;
    }
  }

  // End the answer where it is.
  void abandon() { abandon(generated > 0); }
  void abandon(bool keep) {
    if (!answering) return;
    // In a scheduler it is not stepped: it leaves for so long.
    if (scheduler != nullptr) static_cast<void>(kette_scheduler_remove(scheduler->handle.get(), raw(), nullptr));
    if (callers_cancel) {
      // The flag is not ours to trigger: stop at the next event.
      static_cast<void>(kette_session_run(
          raw(), [](void*, const kette_event*) -> std::int32_t { return 1; }, nullptr, nullptr));
    } else {
      own_cancel.trigger();
      static_cast<void>(kette_session_step(raw(), 0, nullptr));
    }
    if (scheduler != nullptr && kette_scheduler_add(scheduler->handle.get(), raw(), nullptr) < 0) {
      scheduler->forget(this);
      scheduler = nullptr;
    }
    close(keep);
  }

  // The answer as a message with all that it is; empty if there is no memory for it.
  std::string answer_json() const {
    auto json = make_string([&](kette_buf** out, kette_error** e) { return kette_session_answer(raw(), out, e); });
    return json ? std::move(*json) : std::string();
  }

  // The answer is over; keep question and answer, or forget the question.
  void close(bool keep) {
    if (answering && keeps_exchange && !messages.empty()) {
      if (keep)
        messages.push_back({"assistant", std::move(text), answer_json()});
      else
        messages.pop_back();
    }
    answering = false;
    keeps_exchange = false;
    text.clear();
  }
};

inline scheduler_state::~scheduler_state() {
  for (session_state* s : sessions) s->scheduler = nullptr;
}

}  // namespace detail
KETTE_END_NAMESPACE
