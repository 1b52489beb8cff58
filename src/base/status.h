// Status and Result: how every fallible call in Kette reports. In: a code and a message that says
// what, where, expected and found. Out: the same, across the C ABI, as kette_status + kette_error.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace kette {

// The numbers are part of the C ABI (capi/include/kette/kette.h); never renumber.
enum class Code : int32_t {
  kOk = 0,
  kInvalidArgument = -1,
  kStructTooNew = -2,
  kUnsupported = -3,
  kNotFound = -4,
  kIo = -5,
  kFormat = -6,
  kCorrupt = -7,
  kOutOfMemory = -8,
  kBudget = -9,
  kContextFull = -10,
  kCancelled = -11,
  kBusy = -12,
  kReentrant = -13,
  kForked = -14,
  kJitRefused = -15,
  kCpu = -16,
  kGrammarDeadEnd = -17,
  kInternal = -18,
  kHost = -19,
  kNumeric = -20,
  kMisuse = -21,
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, int64_t os_code = 0)
      : code_(code), os_code_(os_code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  int64_t os_code() const { return os_code_; }
  const std::string& message() const { return message_; }

  // Put the outer place before the message: "model.gguf: tensor 3: ...".
  Status within(std::string_view where) && {
    if (!ok()) message_.insert(0, std::string(where) + ": ");
    return std::move(*this);
  }

 private:
  Code code_ = Code::kOk;
  int64_t os_code_ = 0;
  std::string message_;
};

template <class... Args>
Status error(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// A value or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const { return value_.has_value(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace kette

// Leave the function with the Status of `expression` unless it is ok.
#define KETTE_TRY(expression)                                                                    \
  do {                                                                                           \
    if (::kette::Status kette_status_ = (expression); !kette_status_.ok()) return kette_status_; \
  } while (false)

#define KETTE_CONCAT_INNER(a, b) a##b
#define KETTE_CONCAT(a, b) KETTE_CONCAT_INNER(a, b)

// `KETTE_ASSIGN(auto file, open(path))`: declare or set the left side, or leave with the Status.
#define KETTE_ASSIGN(left, expression) KETTE_ASSIGN_INNER(KETTE_CONCAT(kette_result_, __LINE__), left, expression)
#define KETTE_ASSIGN_INNER(result, left, expression)   \
  auto result = (expression);                          \
  if (!result.ok()) return std::move(result).status(); \
  left = std::move(*result)
