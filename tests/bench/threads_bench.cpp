// What it costs to hand work to the threads, awake inside a step: nanoseconds of a stretch of empty tasks, which whoever
// is quickest takes, and of one that all threads have to take part in. Wall time, the best of many rounds; it wants a
// machine of its own.   threads_bench [MOST_THREADS]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/thread_pool.h"

namespace {

using namespace kette;

template <class Task>
double nanoseconds(Executor& pool, uint32_t tasks, const Task& task) {
  constexpr uint32_t kStretches = 1000;
  double best = 1e18;
  for (int round = 0; round < 60; ++round) {
    pool.begin_step();
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < kStretches; ++i) pool.parallel_for(tasks, [&](uint32_t, uint32_t) { task(); });
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    pool.end_step();
    best = std::min(best, took.count() / kStretches);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const uint32_t most = argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : usable_cores();
  for (uint32_t threads = 1; threads <= most; threads *= 2) {
    const auto pool = make_thread_pool({.n_threads = threads, .spin_us = 50, .nice = 0, .cpus = {}});
    if (!pool.ok()) return 1;
    const uint32_t width = (*pool)->width();
    for (const uint32_t tasks : {width, 8 * width})
      std::printf("%u threads, stretches of %3u empty tasks: %7.1f ns a stretch\n", width, tasks,
                  nanoseconds(**pool, tasks, [] {}));
    // Each task waits for the others: all threads have to come, and to be seen to be done.
    std::atomic<uint64_t> arrived{0};
    const auto meet = [&] {
      const uint64_t all = arrived.fetch_add(1) / width * width + width;
      while (arrived.load(std::memory_order_relaxed) < all) {
      }
    };
    std::printf("%u threads, stretches that all take part in:  %7.1f ns a stretch\n", width,
                nanoseconds(**pool, width, meet));
  }
  return 0;
}
