// What it costs to hand work to the threads: nanoseconds of one stretch of empty tasks, by threads and tasks, awake
// inside a step. Wall time, the best of several rounds: only what other programs leave.   threads_bench [MOST_THREADS]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/thread_pool.h"

namespace {

using namespace kette;

double nanoseconds(Executor& pool, uint32_t tasks) {
  constexpr uint32_t kStretches = 2000;
  double best = 1e18;
  for (int round = 0; round < 30; ++round) {
    pool.begin_step();
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < kStretches; ++i) pool.parallel_for(tasks, [](uint32_t, uint32_t) {});
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
    for (const uint32_t tasks : {threads, 4 * threads, 16 * threads})
      std::printf("%u threads, stretches of %3u empty tasks: %7.1f ns a stretch\n", (*pool)->width(), tasks,
                  nanoseconds(**pool, tasks));
  }
  return 0;
}
