// An executor whose work may stop between any two tasks and go on later: safe points inside a layer.
//
// A part (one layer, say) calls run() some number of times, always in the same order: each call is a stretch. When the
// deadline passes or the flag is set, threads take no further task and run() throws Interrupted, out of the part. To go
// on the part is simply run again: stretches that are done are skipped, and of the one that was interrupted only the
// missing tasks run. Every task thus runs once, on whole inputs, and results are those of an uninterrupted run.
//
// What a part does between its stretches it does again each time. It must therefore be cheap and come to the same: write
// each thing once, from what is not changed after. Memory must be the same again (nn::Arena::hold), and a task that is
// skipped sets no variable of the part's code: tasks write to arenas, caches and outputs alone.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <vector>

#include "runtime/runtime.h"

namespace kette {

using Clock = std::chrono::steady_clock;

// Thrown by run() on the thread that called it.
struct Interrupted {
  bool lost;  // a resumed part did not make the same runs as before: its results are worthless
};

class SafePoints final : public Executor {
 public:
  explicit SafePoints(Executor& threads) : threads_(threads) {}

  // For the runs from here on; with neither, they go straight to the threads. However near the deadline is, at least one
  // task runs before the next interruption.
  void arm(std::optional<Clock::time_point> deadline, const CancelFlag* cancel);
  // A new part, or the one that was interrupted once more.
  void begin_part();
  void resume_part();
  // The longest task seen while there was a deadline, since reset_longest().
  Clock::duration longest() const { return Clock::duration(longest_.load(std::memory_order_relaxed)); }
  void reset_longest() { longest_.store(0, std::memory_order_relaxed); }

  uint32_t width() const override { return threads_.width(); }
  void run(uint32_t n, Task task, void* arg) override;
  void begin_step() override { threads_.begin_step(); }
  void end_step() override { threads_.end_step(); }

 private:
  struct Stretch {
    uint32_t n;
    Task task;
    void* arg;
    std::atomic<uint32_t> next;
  };
  void take_tasks(Stretch& stretch, uint32_t worker);
  bool time_to_stop(Clock::time_point& before);

  Executor& threads_;
  std::optional<Clock::time_point> deadline_;
  const CancelFlag* cancel_ = nullptr;
  std::atomic<bool> stop_{false};
  std::atomic<Clock::rep> longest_{0};
  std::vector<uint32_t> sizes_;  // tasks of each stretch that is done or begun
  size_t stretch_ = 0;           // the next one to come
  size_t complete_ = 0;          // of sizes_, how many are done to their last task; at most one more is begun
  std::vector<uint8_t> done_;    // of the stretch that is begun: which tasks
};

}  // namespace kette
