#include "runtime/safe_points.h"

#include <algorithm>

namespace kette {

void SafePoints::arm(std::optional<Clock::time_point> deadline, const CancelFlag* cancel) {
  deadline_ = deadline;
  cancel_ = cancel;
}

void SafePoints::begin_part() {
  sizes_.clear();
  complete_ = 0;
  resume_part();
}

void SafePoints::resume_part() { stretch_ = 0; }

void SafePoints::run(uint32_t n, Task task, void* arg) {
  if (n == 0) return;
  const size_t index = stretch_++;
  if (index < sizes_.size() && sizes_[index] != n) throw Interrupted{true};
  if (index < complete_) return;
  if (!deadline_ && cancel_ == nullptr && index == sizes_.size()) {
    threads_.run(n, task, arg);
    sizes_.push_back(n);
    ++complete_;
    return;
  }
  if (index == sizes_.size()) {
    done_.assign(n, 0);
    sizes_.push_back(n);
  }
  stop_.store(false, std::memory_order_relaxed);
  const auto missing = std::ranges::find(done_, 0);
  Stretch stretch{n, task, arg, static_cast<uint32_t>(missing - done_.begin())};
  threads_.parallel_for(std::min(n, threads_.width()), [&](uint32_t, uint32_t worker) { take_tasks(stretch, worker); });
  if (std::ranges::find(done_, 0) == done_.end()) ++complete_;
  if (stop_.load(std::memory_order_relaxed)) throw Interrupted{false};
}

// One thread's share: tasks in order until there are none or it is time to stop. The look at the clock comes after a
// task, so that every run gets somewhere however short the budget is.
void SafePoints::take_tasks(Stretch& stretch, uint32_t worker) {
  Clock::time_point before = deadline_ ? Clock::now() : Clock::time_point();
  while (!stop_.load(std::memory_order_relaxed)) {
    const uint32_t i = stretch.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= stretch.n) return;
    if (done_[i] != 0) continue;
    stretch.task(stretch.arg, i, worker);
    done_[i] = 1;
    if (time_to_stop(before)) stop_.store(true, std::memory_order_relaxed);
  }
}

bool SafePoints::time_to_stop(Clock::time_point& before) {
  if (cancelled(cancel_)) return true;
  if (!deadline_) return false;
  const Clock::time_point now = Clock::now();
  const Clock::rep took = (now - before).count();
  before = now;
  Clock::rep longest = longest_.load(std::memory_order_relaxed);
  while (took > longest && !longest_.compare_exchange_weak(longest, took, std::memory_order_relaxed)) {
  }
  return now >= *deadline_;
}

}  // namespace kette
