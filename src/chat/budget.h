// What one render may spend (steps, bytes), and the first thing that went wrong in it. Every operation of the
// interpreter reports here and goes on harmlessly; the main loop looks after each instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace kette::jinja {

inline constexpr size_t kMaxSource = size_t{1} << 20;
inline constexpr size_t kMaxCode = size_t{1} << 21;  // instructions
inline constexpr size_t kMaxOutput = size_t{16} << 20;
inline constexpr size_t kMaxHeap = size_t{64} << 20;
inline constexpr int64_t kMaxSteps = 5'000'000;
inline constexpr int kMaxNesting = 64;        // of expressions, statements, and values inside values
inline constexpr size_t kMaxCallDepth = 128;  // of macros
inline constexpr size_t kMaxOperands = 65536;
inline constexpr int64_t kMaxRange = 100000;  // jinja2.sandbox.MAX_RANGE

class Budget {
 public:
  explicit Budget(int64_t steps = kMaxSteps) : steps_(static_cast<uint64_t>(steps)), steps_left_(steps_) {}
  bool ok() const { return status_.ok(); }
  Status take_status() { return std::move(status_); }

  template <class... Args>
  void fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
    if (ok()) status_ = Status(code, fmt::format(format, std::forward<Args>(args)...));
  }
  // The template or its data did something Python would raise an exception for.
  template <class... Args>
  void raise(fmt::format_string<Args...> format, Args&&... args) {
    fail(Code::kInvalidArgument, format, std::forward<Args>(args)...);
  }

  void spend(uint64_t steps) {
    if (steps > steps_left_) {
      steps_left_ = 0;
      fail(Code::kBudget, "the template takes more than {} steps", steps_);
    } else {
      steps_left_ -= steps;
    }
  }
  // False, and failed, when the heap has no room for so many bytes.
  bool charge(size_t bytes) {
    if (bytes > kMaxHeap - used_) {
      fail(Code::kBudget, "the template needs more than {} MiB", kMaxHeap >> 20);
      return false;
    }
    used_ += bytes;
    return true;
  }
  void release(size_t bytes) { used_ -= bytes; }

 private:
  uint64_t steps_, steps_left_;
  size_t used_ = 0;
  Status status_;
};

// At most `limit` bytes of foreign text, made safe for a one-line message.
std::string excerpt(std::string_view text, size_t limit = 80);

}  // namespace kette::jinja
