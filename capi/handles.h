// What the ABI's opaque handles hold, and the guard around every entry: nothing thrown passes it, calls from callbacks
// and from a fork's child are refused, structs of other sizes are understood, the caller's floating-point environment
// is left as it was.
#pragma once

#include <immintrin.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "base/status.h"
#include "kette/kette.h"
#include "runtime/chat_prompt.h"
#include "runtime/model_grammar.h"
#include "runtime/scheduler.h"

struct kette_error {
  kette_status code;
  int64_t os_code;
  char message[512];  // NUL-terminated UTF-8 without control characters
};

struct kette_buf {
  std::string bytes;
};

struct kette_runtime {
  std::atomic<uint32_t> references{1};
  std::shared_ptr<kette::Runtime> runtime;
};

struct kette_model {
  std::atomic<uint32_t> references{1};
  std::shared_ptr<const kette::LoadedModel> loaded;
};

struct kette_adapter {
  std::atomic<uint32_t> references{1};
  std::shared_ptr<const kette::Adapter> adapter;
};

struct kette_chat {
  std::unique_ptr<kette::ChatPrompt> prompt;
};

struct kette_grammar {
  std::atomic<uint32_t> references{1};
  std::shared_ptr<const kette::ModelGrammar> grammar;
};

struct kette_cancel {
  std::shared_ptr<kette::CancelFlag> flag;
};

struct kette_session {
  ~kette_session();
  std::unique_ptr<kette::Session> session;
  void* user = nullptr;
  kette_scheduler* scheduler = nullptr;   // that it is in
  kette::Event event;                     // the one polled last: its text is the caller's until the next call
  std::vector<kette_logprob> top;         // and this
  std::atomic<std::thread::id> inside{};  // the thread in a call; none: std::thread::id()
};

struct kette_scheduler {
  std::unique_ptr<kette::Scheduler> scheduler;
  std::vector<kette_session*> sessions;   // in it, as they were added
  size_t next = 0;                        // of them, whose events are looked at first
  std::atomic<std::thread::id> inside{};  // as a session's
};

namespace kette::capi {

// Store the error and return its code.
kette_status report(const Status& status, kette_error** err) noexcept;
kette_status report_out_of_memory(kette_error** err) noexcept;

// The rounding, flush-to-zero and exception masks that Kette computes with, for the length of a call.
class FloatEnvironment {
 public:
  FloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~FloatEnvironment() { _mm_setcsr(saved_); }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  unsigned saved_;
};

// Around a call of a host's function on its own thread: from there only functions that need no guard may be called.
// The depth is per thread, not per object: which object a callback belongs to does not matter.
class InCallback {
 public:
  InCallback() { ++depth(); }
  ~InCallback() { --depth(); }
  InCallback(const InCallback&) = delete;
  InCallback& operator=(const InCallback&) = delete;
  static bool now() { return depth() > 0; }

 private:
  static int& depth();
};

// The body of an entry: a function returning Result<kette_status>.
template <class F>
kette_status guard(kette_error** err, F&& body) noexcept {
  try {
    if (InCallback::now()) return report(Status(Code::kReentrant, "called from a callback"), err);
    const FloatEnvironment environment;
    const Result<kette_status> result = body();
    return result.ok() ? *result : report(result.status(), err);
  } catch (const std::bad_alloc&) {
    return report_out_of_memory(err);
  } catch (const std::exception& e) {
    return report(Status(Code::kInternal, std::string("unexpected: ") + e.what()), err);
  } catch (...) {
    return report(Status(Code::kInternal, "unexpected exception"), err);
  }
}

// Refuse what a fork's child cannot do. (Chats, models and adapters: the handles' own runtime.)
Status not_forked(const Runtime& runtime);
inline Status not_forked(const kette_runtime* h) { return not_forked(*h->runtime); }
inline Status not_forked(const kette_model* h) { return not_forked(h->loaded->runtime()); }
inline Status not_forked(const kette_adapter* h) { return not_forked(h->adapter->loaded().runtime()); }
inline Status not_forked(const kette_chat* h) { return not_forked(h->prompt->loaded().runtime()); }
inline Status not_forked(const kette_session* h) { return not_forked(h->session->loaded().runtime()); }
inline Status not_forked(const kette_scheduler* h) { return not_forked(h->scheduler->loaded().runtime()); }

// One thread at a time in an object; a call from within one, through the host's executor, is refused, not deadlocked.
class Inside {
 public:
  Inside() = default;
  ~Inside() {
    if (entered_ != nullptr) entered_->store(std::thread::id{});
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  Status enter(std::atomic<std::thread::id>& inside, std::string_view object) {
    std::thread::id none{};
    if (!inside.compare_exchange_strong(none, std::this_thread::get_id())) {
      if (none == std::this_thread::get_id())
        return error(Code::kReentrant, "called from within a call on the same {}", object);
      return error(Code::kBusy, "another thread is in a call on this {}", object);
    }
    entered_ = &inside;
    return {};
  }

 private:
  std::atomic<std::thread::id>* entered_ = nullptr;
};

// A scheduler and the sessions in it are one object: a call on any of them is one on the scheduler too.
template <class F>
kette_status guard_session(kette_session* session, kette_error** err, F&& body) noexcept {
  return guard(err, [&]() -> Result<kette_status> {
    if (session == nullptr) return error(Code::kInvalidArgument, "session is NULL");
    KETTE_TRY(not_forked(session));
    Inside in_session, in_scheduler;
    KETTE_TRY(in_session.enter(session->inside, "session"));
    if (session->scheduler != nullptr) KETTE_TRY(in_scheduler.enter(session->scheduler->inside, "session's scheduler"));
    return body(*session->session);
  });
}
template <class F>
kette_status guard_scheduler(kette_scheduler* scheduler, kette_error** err, F&& body) noexcept {
  return guard(err, [&]() -> Result<kette_status> {
    if (scheduler == nullptr) return error(Code::kInvalidArgument, "scheduler is NULL");
    KETTE_TRY(not_forked(scheduler));
    Inside in_scheduler;
    KETTE_TRY(in_scheduler.enter(scheduler->inside, "scheduler"));
    return body(*scheduler->scheduler);
  });
}

inline Status require(const void* pointer, std::string_view name) {
  return pointer != nullptr ? Status() : error(Code::kInvalidArgument, "{} is NULL", name);
}
// A handle that is there and may be used in this process.
template <class Handle>
Status require_live(const Handle* handle, std::string_view name) {
  KETTE_TRY(require(handle, name));
  return not_forked(handle);
}
inline Status require_flags(uint32_t flags, uint32_t known, std::string_view name) {
  return (flags & ~known) == 0 ? Status() : error(Code::kInvalidArgument, "{}: {:#x} has unknown bits", name, flags);
}
// Of kette_model_params; an adapter's opening takes the same struct.
constexpr uint32_t kModelFlags = KETTE_MODEL_READ | KETTE_MODEL_VOCAB_ONLY | KETTE_MODEL_EXACT |
                                 KETTE_MODEL_DETERMINISTIC | KETTE_MODEL_NO_PREFIX_CACHE;
// Text of n bytes; NULL is fine for none.
inline Status require_text(const void* pointer, size_t n, std::string_view name) {
  return pointer != nullptr || n == 0 ? Status() : error(Code::kInvalidArgument, "{} is NULL, its length {}", name, n);
}

// A struct_size that a program compiled against some version may have; the smallest holds what comes before the fields.
inline Status require_size(uint32_t size, size_t own, std::string_view name) {
  constexpr uint32_t kSmallest = 2 * sizeof(uint32_t), kLargest = 1 << 16;
  if (size >= kSmallest && size <= kLargest) return {};
  return error(Code::kInvalidArgument, "{}.struct_size is {}, expected sizeof({}) = {}", name, size, name, own);
}

// The caller's struct as this library knows it: fields it does not have are zero, fields we do not have must be.
template <class T>
Result<T> read_struct(const T* given, std::string_view name) {
  T own{};
  own.struct_size = sizeof(T);
  if (given == nullptr) return own;
  const uint32_t size = given->struct_size;
  KETTE_TRY(require_size(size, sizeof(T), name));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(T); i < size; ++i)
    if (bytes[i] != 0)
      return error(Code::kStructTooNew, "{} has {} bytes with fields set that this library, with {}, does not know",
                   name, size, sizeof(T));
  std::memcpy(&own, given, std::min<size_t>(size, sizeof(T)));
  own.struct_size = sizeof(T);
  return own;
}

// Fill the caller's struct as far as it goes.
template <class T>
Status write_struct(const T& own, T* out, std::string_view name) {
  KETTE_TRY(require(out, name));
  const uint32_t size = out->struct_size;
  KETTE_TRY(require_size(size, sizeof(T), name));
  std::memcpy(out, &own, std::min<size_t>(size, sizeof(T)));
  out->struct_size = size;
  return {};
}

// session.cpp: KETTE_OK with the session's next event, KETTE_MORE or KETTE_DONE without.
kette_status next_event(kette_session* handle, kette_event& out);

inline kette_buf* make_buf(std::string bytes) { return new kette_buf{std::move(bytes)}; }

// hooks.cpp: the host's hooks as Kette's own interfaces; nullptr or an empty function where there is none.
Result<std::unique_ptr<Allocator>> host_allocator(const kette_allocator* given);
Result<std::unique_ptr<Executor>> host_executor(const kette_executor* given);
Result<LogSink> host_log(const kette_logger* given);
// The file system, or the host's virtual one. mapped: use mmap for plain files.
Result<OpenFile> host_files(const kette_vfs* given, bool mapped);

}  // namespace kette::capi
