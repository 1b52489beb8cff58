// Where the time of forward passes goes: a table of phases ("attend", "router"), each with its time and what the threads
// did meanwhile. A profile is the executor of the passes that it measures, so every stretch of work is measured in one
// place; a pass that nobody measures has none, and a Phase is then a test of a pointer.
#pragma once

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace kette::nn {

class Profile final : public Executor {
 public:
  using Duration = std::chrono::nanoseconds;

  struct Row {
    std::string_view name;
    uint64_t times = 0;   // entered
    Duration wall{};      // without that of phases within it
    Duration parallel{};  // of wall: in stretches of more than one task, which are what threads wait at the end of
    Duration work{};      // of all threads together, in tasks of these
    Duration late{};      // of all threads together: until their first task of these, if any
    uint64_t stretches = 0;
    uint64_t tasks = 0;         // with those of stretches of one task
    double bytes = 0, ops = 0;  // what was noted; a multiply-add is two

    Duration serial() const { return wall - parallel; }
    // Of an average thread.
    Duration waiting(uint32_t width) const { return parallel - work / width; }
  };

  explicit Profile(Executor& threads) : threads_(threads), slots_(threads.width()) {}

  std::span<const Row> rows() const { return rows_; }
  Row total() const;
  uint64_t passes() const { return passes_; }
  uint64_t pass_rows() const { return pass_rows_; }
  uint64_t layer_stretches() const { return layer_stretches_; }  // of those in layers

  // The bytes of weights or cache that the next stretch reads, once each, and its operations.
  void note(double bytes, double ops) { noted_bytes_ = bytes, noted_ops_ = ops; }
  void enter_layer(bool in_layer) { in_layer_ = in_layer; }
  void end_pass(size_t rows) { ++passes_, pass_rows_ += rows; }

  uint32_t width() const override { return threads_.width(); }
  void run(uint32_t n, Task task, void* arg) override;
  void begin_step() override { threads_.begin_step(); }
  void end_step() override { threads_.end_step(); }

 private:
  friend class Phase;
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kOutside = SIZE_MAX;

  // One thread's part of a stretch: from its first task's begin to its last one's end.
  struct alignas(64) Slot {
    Clock::time_point begin, end;
    uint64_t tasks = 0;
  };

  // What is measured from here on goes to this row; the one before.
  size_t enter(std::string_view name);
  void go_on_in(size_t row);
  void record(Clock::time_point begin, uint32_t n);

  Executor& threads_;
  std::vector<Row> rows_;  // in the order of their first use
  std::vector<Slot> slots_;
  size_t row_ = kOutside;
  Clock::time_point since_{};
  double noted_bytes_ = 0, noted_ops_ = 0;
  bool in_layer_ = false;
  uint64_t passes_ = 0, pass_rows_ = 0, layer_stretches_ = 0;
};

// What follows belongs to a phase, until the scope ends or the next phase begins. Phases may lie within each other.
class Phase {
 public:
  Phase(Profile* profile, std::string_view name) : profile_(profile) {
    if (profile_ != nullptr) before_ = profile_->enter(name);
  }
  ~Phase() {
    if (profile_ != nullptr) profile_->go_on_in(before_);
  }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

  void next(std::string_view name) {
    if (profile_ != nullptr) profile_->enter(name);
  }

 private:
  Profile* const profile_;
  size_t before_ = Profile::kOutside;
};

}  // namespace kette::nn
