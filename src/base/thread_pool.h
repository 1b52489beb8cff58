// Runs n independent tasks on a fixed set of threads. Results never depend on the number of threads: each task
// writes its own outputs in its own order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

#include "base/status.h"

namespace kette {

class Executor {
 public:
  using Task = void (*)(void* arg, uint32_t index, uint32_t worker);

  virtual ~Executor() = default;
  // Threads that may run tasks at once, the caller's included; `worker` < width(). Fixed for life.
  virtual uint32_t width() const = 0;
  // Run task(arg, i, worker) for every i in [0, n), any order, and return when all are done. Tasks do not throw.
  virtual void run(uint32_t n, Task task, void* arg) = 0;
  // Around one step (one forward pass): in between, workers wait for the next run() awake for a short while.
  virtual void begin_step() {}
  virtual void end_step() {}

  template <class F>
  void parallel_for(uint32_t n, F&& f) {  // f(index, worker)
    run(
        n, [](void* arg, uint32_t i, uint32_t w) { (*static_cast<std::remove_reference_t<F>*>(arg))(i, w); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }
};

// A set of CPUs by number; empty: all that this process may use.
struct CpuMask {
  uint64_t low = 0, high = 0;  // CPUs 0 to 63, 64 to 127
  bool empty() const { return low == 0 && high == 0; }
  bool has(int cpu) const { return ((cpu < 64 ? low >> cpu : high >> (cpu - 64)) & 1) != 0; }
};

struct ThreadPoolOptions {
  uint32_t n_threads = 0;  // the caller's included; 0: the physical cores of `cpus` that this process may use
  uint32_t spin_us = 20;   // how long a worker inside a step waits awake before it parks
  int32_t nice = 0;        // how much less urgent than the creating thread the workers are, 0 to 19; best effort
  CpuMask cpus = {};       // where the workers run
};

// Kette's own pool: n - 1 threads, parked between steps (no CPU used while idle), deaf to signals. If the system refuses
// a thread the pool is narrower, never an error. The caller's thread takes part as it is: priority and CPUs are those
// of the workers. kInvalidArgument if this process may use none of `cpus`.
Result<std::unique_ptr<Executor>> make_thread_pool(const ThreadPoolOptions& options);

// Physical cores within `cpus`, this process's affinity and its cgroup quota; at least 1.
uint32_t usable_cores(const CpuMask& cpus = {});
// Whether this process may use one of `cpus`.
bool may_use(const CpuMask& cpus);

}  // namespace kette
