/// What went wrong, and results that are a value or an error.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "kette/config.hpp"

KETTE_BEGIN_NAMESPACE

/// Kinds of failure: the KETTE_E_* of kette.h. Newer libraries may return numbers that are not listed.
enum class errc : std::int32_t {
  ok = KETTE_OK,
  invalid_argument = KETTE_E_INVALID_ARGUMENT,
  struct_too_new = KETTE_E_STRUCT_TOO_NEW,
  unsupported = KETTE_E_UNSUPPORTED,
  not_found = KETTE_E_NOT_FOUND,
  io = KETTE_E_IO,
  format = KETTE_E_FORMAT,
  corrupt = KETTE_E_CORRUPT,
  out_of_memory = KETTE_E_OUT_OF_MEMORY,
  budget = KETTE_E_BUDGET,
  context_full = KETTE_E_CONTEXT_FULL,
  cancelled = KETTE_E_CANCELLED,
  busy = KETTE_E_BUSY,
  reentrant = KETTE_E_REENTRANT,
  forked = KETTE_E_FORKED,
  jit_refused = KETTE_E_JIT_REFUSED,
  cpu = KETTE_E_CPU,
  grammar_dead_end = KETTE_E_GRAMMAR_DEAD_END,
  internal = KETTE_E_INTERNAL,
  host = KETTE_E_HOST,
  numeric = KETTE_E_NUMERIC,
  misuse = KETTE_E_MISUSE,
};

/// A failure: its kind, a sentence that says what, where, expected and found, and the system's errno if it has one.
/// A plain value: copy it, keep it, send it to another thread.
class error {
 public:
  /// No failure.
  error() = default;
  error(errc code, std::string message, std::int64_t os_code = 0)
      : code_(code), os_code_(os_code), message_(std::move(message)) {}

  errc code() const noexcept { return code_; }
  /// UTF-8, one line, for people. Empty where there is no failure.
  const std::string& message() const noexcept { return message_; }
  /// errno where the system refused, else 0.
  std::int64_t os_code() const noexcept { return os_code_; }
  /// The kind by its name in kette.h, such as "KETTE_E_IO"; static.
  const char* name() const noexcept { return kette_status_name(static_cast<kette_status>(code_)); }
  /// True if this is a failure.
  explicit operator bool() const noexcept { return code_ != errc::ok; }

 private:
  errc code_ = errc::ok;
  std::int64_t os_code_ = 0;
  std::string message_;
};

#if KETTE_EXCEPTIONS
/// What result::value() throws; what() is the message.
class exception : public std::runtime_error {
 public:
  explicit exception(const error& e) : std::runtime_error(e.message()), code_(e.code()), os_code_(e.os_code()) {}
  errc code() const noexcept { return code_; }
  std::int64_t os_code() const noexcept { return os_code_; }

 private:
  errc code_;
  std::int64_t os_code_;
};
#else
/// Called by result::value() on an error where exceptions are off. It must not return: if it does, the program ends.
using failure_handler = void (*)(const error&);

namespace detail {
inline std::atomic<failure_handler>& installed_failure_handler() noexcept {
  static std::atomic<failure_handler> handler{nullptr};
  return handler;
}
}  // namespace detail

/// Put a handler in place for the whole program and return the one before, NULL for none (then value() calls
/// std::terminate on an error). Any thread, any time.
inline failure_handler set_failure_handler(failure_handler handler) noexcept {
  return detail::installed_failure_handler().exchange(handler);
}
#endif

namespace detail {
[[noreturn]] inline void fail(const error& e) {
#if KETTE_EXCEPTIONS
  throw exception(e);
#else
  if (const failure_handler handler = installed_failure_handler().load()) handler(e);
  std::terminate();
#endif
}
}  // namespace detail

/// A value, or the error in its place. Ask `if (r)` first, or take value() and let an error throw kette::exception
/// (without exceptions: call the failure handler).
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : value_(std::move(value)) {}
  /// `e` is a failure.
  result(kette::error e) : error_(std::move(e)) {}

  explicit operator bool() const noexcept { return value_.has_value(); }
  bool ok() const noexcept { return value_.has_value(); }
  /// No failure (errc::ok) where there is a value.
  const kette::error& error() const noexcept { return error_; }

  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  /// By value, so that a loop over f().value() does not dangle.
  T value() && { return check(), std::move(*value_); }
  T value_or(T fallback) && { return value_ ? std::move(*value_) : std::move(fallback); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void check() const {
    if (!value_) detail::fail(error_);
  }
  std::optional<T> value_;
  kette::error error_;
};

/// Success, or an error.
template <>
class [[nodiscard]] result<void> {
 public:
  result() = default;
  result(kette::error e) : error_(std::move(e)) {}

  explicit operator bool() const noexcept { return ok(); }
  bool ok() const noexcept { return error_.code() == errc::ok; }
  const kette::error& error() const noexcept { return error_; }
  /// Throws (or calls the failure handler) on an error.
  void value() const {
    if (!ok()) detail::fail(error_);
  }

 private:
  kette::error error_;
};

KETTE_END_NAMESPACE
