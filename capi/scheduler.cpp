#include "handles.h"

using kette::Code;
using kette::Result;

extern "C" {

kette_status kette_scheduler_new(kette_model* model, uint32_t max_batch, kette_scheduler** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require(out, "out"));
    auto handle = std::make_unique<kette_scheduler>();
    KETTE_ASSIGN(handle->scheduler, kette::Scheduler::make(model->loaded, max_batch));
    *out = handle.release();
    return KETTE_OK;
  });
}

void kette_scheduler_free(kette_scheduler* scheduler) {
  if (scheduler == nullptr) return;
  for (kette_session* session : scheduler->sessions) session->scheduler = nullptr;
  delete scheduler;
}

kette_status kette_scheduler_add(kette_scheduler* scheduler, kette_session* session, kette_error** err) {
  using namespace kette::capi;
  return guard_scheduler(scheduler, err, [&](kette::Scheduler& s) -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    Inside in_session;
    KETTE_TRY(in_session.enter(session->inside, "session"));
    scheduler->sessions.reserve(scheduler->sessions.size() + 1);
    KETTE_TRY(s.add(*session->session));
    scheduler->sessions.push_back(session);
    session->scheduler = scheduler;
    return KETTE_OK;
  });
}

kette_status kette_scheduler_remove(kette_scheduler* scheduler, kette_session* session, kette_error** err) {
  using namespace kette::capi;
  return guard_scheduler(scheduler, err, [&](kette::Scheduler& s) -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    KETTE_TRY(s.remove(*session->session));
    std::erase(scheduler->sessions, session);
    session->scheduler = nullptr;
    return KETTE_OK;
  });
}

kette_status kette_scheduler_step(kette_scheduler* scheduler, uint32_t budget_us, kette_error** err) {
  using namespace kette::capi;
  return guard_scheduler(scheduler, err, [&](kette::Scheduler& s) -> Result<kette_status> {
    KETTE_ASSIGN(const bool done, s.step(budget_us));
    return done ? KETTE_DONE : KETTE_MORE;
  });
}

kette_status kette_scheduler_poll(kette_scheduler* scheduler, kette_event* event, kette_error** err) {
  using namespace kette::capi;
  return guard_scheduler(scheduler, err, [&](kette::Scheduler& s) -> Result<kette_status> {
    KETTE_TRY(require(event, "event"));
    KETTE_TRY(require_size(event->struct_size, sizeof(kette_event), "kette_event"));
    kette_event own{};
    kette_status status = s.generating() ? KETTE_MORE : KETTE_DONE;
    const std::vector<kette_session*>& sessions = scheduler->sessions;
    for (size_t i = 0; i < sessions.size() && status != KETTE_OK; ++i) {
      const size_t at = (scheduler->next + i) % sessions.size();
      if (!sessions[at]->session->has_event()) continue;
      status = next_event(sessions[at], own);
      scheduler->next = at + 1;  // they take turns
    }
    KETTE_TRY(write_struct(own, event, "kette_event"));
    return status;
  });
}

}  // extern "C"
