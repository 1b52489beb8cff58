// What the ABI's opaque handles hold, and the guard around every entry: nothing thrown passes it, structs of other
// sizes are understood, the caller's floating-point environment is left as it was.
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
#include "runtime/session.h"

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

struct kette_chat {
  std::unique_ptr<kette::ChatPrompt> prompt;
};

struct kette_cancel {
  std::shared_ptr<kette::CancelFlag> flag;
};

struct kette_session {
  std::unique_ptr<kette::Session> session;
  kette::Event event;  // the one polled last: its text is the caller's until the next call
  std::atomic<std::thread::id> inside{};  // the thread in a call; none: std::thread::id()
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

// The body of an entry: a function returning Result<kette_status>.
template <class F>
kette_status guard(kette_error** err, F&& body) noexcept {
  try {
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

// One thread at a time in a session; calls from its own callbacks are refused, not deadlocked.
template <class F>
kette_status guard_session(kette_session* session, kette_error** err, F&& body) noexcept {
  return guard(err, [&]() -> Result<kette_status> {
    if (session == nullptr) return error(Code::kInvalidArgument, "session is NULL");
    std::thread::id none{};
    if (!session->inside.compare_exchange_strong(none, std::this_thread::get_id())) {
      if (none == std::this_thread::get_id())
        return error(Code::kReentrant, "called from a callback of the same session");
      return error(Code::kBusy, "another thread is in a call on this session");
    }
    struct Leave {
      kette_session* s;
      ~Leave() { s->inside.store(std::thread::id{}); }
    } const leave{session};
    return body(*session->session);
  });
}

inline Status require(const void* pointer, std::string_view name) {
  return pointer != nullptr ? Status() : error(Code::kInvalidArgument, "{} is NULL", name);
}
// Text of n bytes; NULL is fine for none.
inline Status require_text(const void* pointer, size_t n, std::string_view name) {
  return pointer != nullptr || n == 0 ? Status() : error(Code::kInvalidArgument, "{} is NULL, its length {}", name, n);
}

// The caller's struct as this library knows it: fields it does not have are zero, fields we do not have must be.
template <class T>
Result<T> read_struct(const T* given, std::string_view name) {
  T own{};
  own.struct_size = sizeof(T);
  if (given == nullptr) return own;
  constexpr uint32_t kLargest = 1 << 16;
  const uint32_t size = given->struct_size;
  if (size < sizeof(uint32_t) || size > kLargest)
    return error(Code::kInvalidArgument, "{}.struct_size is {}, expected sizeof({}) = {}", name, size, name, sizeof(T));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(T); i < size; ++i)
    if (bytes[i] != 0)
      return error(Code::kStructTooNew, "{} has {} bytes with fields set that this library, with {}, does not know", name,
                   size, sizeof(T));
  std::memcpy(&own, given, std::min<size_t>(size, sizeof(T)));
  own.struct_size = sizeof(T);
  return own;
}

// Fill the caller's struct as far as it goes.
template <class T>
Status write_struct(const T& own, T* out, std::string_view name) {
  KETTE_TRY(require(out, name));
  const uint32_t size = out->struct_size;
  if (size < sizeof(uint32_t))
    return error(Code::kInvalidArgument, "{}.struct_size is {}, expected sizeof({}) = {}", name, size, name, sizeof(T));
  std::memcpy(out, &own, std::min<size_t>(size, sizeof(T)));
  out->struct_size = size;
  return {};
}

inline kette_buf* make_buf(std::string bytes) { return new kette_buf{std::move(bytes)}; }

// hooks.cpp: the host's hooks as Kette's own interfaces.
Result<std::unique_ptr<Executor>> host_executor(const kette_executor* given);
Result<LogSink> host_log(const kette_logger* given);
// The file system, or the host's virtual one. mapped: use mmap for plain files.
Result<OpenFile> host_files(const kette_vfs* given, bool mapped);

}  // namespace kette::capi
