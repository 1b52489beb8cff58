// The thread pool: every task once, no worker twice at a time, results visible, nothing used while idle.
#include "base/thread_pool.h"

#include <doctest/doctest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

namespace kette {
namespace {

std::unique_ptr<Executor> make_pool(uint32_t n_threads, uint32_t spin_us = 20) {
  auto pool = make_thread_pool({n_threads, spin_us});
  REQUIRE(pool.ok());
  return std::move(*pool);
}

TEST_CASE("every index runs once and its plain writes are seen afterwards") {
  for (const uint32_t n_threads : {1u, 2u, 3u, 8u}) {
    const auto pool = make_pool(n_threads);
    CHECK(pool->width() <= n_threads);  // narrower where the system refuses threads
    for (const uint32_t n : {0u, 1u, 2u, 7u, 64u, 1000u}) {
      std::vector<uint32_t> seen(n, 0);
      pool->parallel_for(n, [&](uint32_t i, uint32_t) { seen[i] += i + 1; });
      size_t wrong = 0;
      for (uint32_t i = 0; i < n; ++i) wrong += seen[i] != i + 1;
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("more tasks than one ticket word counts") {
  const auto pool = make_pool(2);
  const uint32_t n = (1u << 20) + 12345;
  std::vector<uint8_t> seen(n, 0);
  pool->parallel_for(n, [&](uint32_t i, uint32_t) { ++seen[i]; });
  CHECK(std::count(seen.begin(), seen.end(), 1) == n);
}

TEST_CASE("a worker's number is below the width and never in use twice at a time") {
  const auto pool = make_pool(4);
  std::vector<std::atomic<int>> busy(pool->width());
  std::atomic<int> wrong{0};
  for (int round = 0; round < 200; ++round) {
    pool->parallel_for(50, [&](uint32_t, uint32_t worker) {
      if (worker >= busy.size() || busy[worker].fetch_add(1) != 0) ++wrong;
      if (worker < busy.size()) busy[worker].fetch_sub(1);
    });
  }
  CHECK(wrong == 0);
}

TEST_CASE("many short jobs, inside steps and between them, with workers parked and awake") {
  for (const uint32_t spin_us : {0u, 5u, 1000u}) {
    const auto pool = make_pool(3, spin_us);
    uint64_t sum = 0;
    for (uint32_t round = 0; round < 2000; ++round) {
      if (round % 3 == 0) pool->begin_step();
      uint32_t part[3] = {};
      pool->parallel_for(3, [&](uint32_t i, uint32_t) { part[i] = round + i; });
      sum += part[0] + part[1] + part[2];
      if (round % 3 == 2 || round == 1999) pool->end_step();
    }
    CHECK(sum == 3ull * (2000 * 1999 / 2) + 3 * 2000);
  }
}

TEST_CASE("several host threads share one pool") {
  const auto pool = make_pool(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> hosts;
  for (uint32_t host = 0; host < 4; ++host) {
    hosts.emplace_back([&, host] {
      for (int round = 0; round < 200; ++round) {
        pool->begin_step();
        std::vector<uint32_t> seen(20, 0);
        pool->parallel_for(20, [&](uint32_t i, uint32_t) { seen[i] = host * 100 + i; });
        for (uint32_t i = 0; i < 20; ++i) wrong += seen[i] != host * 100 + i;
        pool->end_step();
      }
    });
  }
  for (std::thread& t : hosts) t.join();
  CHECK(wrong == 0);
}

TEST_CASE("between steps the pool uses no CPU") {
  const auto pool = make_pool(4, 100);
  pool->begin_step();
  pool->parallel_for(16, [](uint32_t, uint32_t) {});
  pool->end_step();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto cpu_ms = [] {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
  };
  const double before = cpu_ms();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(cpu_ms() - before < 20.0);  // one spinning thread would use 200
}

TEST_CASE("a pool that never works ends, and so does one in the middle of a step") {
  for (int i = 0; i < 20; ++i) {
    const auto pool = make_pool(4);
    if (i % 2 != 0) pool->begin_step();
  }
}

TEST_CASE("the number of threads is bounded") {
  CHECK(make_thread_pool({1025, 0}).status().code() == Code::kInvalidArgument);
  CHECK(make_pool(0)->width() <= usable_cores());
}

TEST_CASE("usable cores follow the affinity") {
  const uint32_t all = usable_cores();
  CHECK(all >= 1);
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  CHECK(all <= static_cast<uint32_t>(CPU_COUNT(&before)));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  const uint32_t on_one = usable_cores();
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
  CHECK(on_one == 1);
}

}  // namespace
}  // namespace kette
