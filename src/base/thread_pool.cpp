// A gang of threads around one ticket word. Inside a step the workers watch the ticket awake; between steps, and
// after spin_us without work, they sleep on a futex.
#include "base/thread_pool.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace kette {
namespace {

// The ticket: which job is open, how many tasks it has, and the next one to take.
//   [epoch: 24][count: 20][next: 20]
constexpr int kBits = 20;
constexpr uint64_t kMask = (1u << kBits) - 1;
constexpr uint32_t kMaxTasks = (1u << kBits) - 4096;  // room for every worker to overshoot once
constexpr uint32_t kMaxThreads = 1024;

// Every signal blocked while it lives: threads made meanwhile never run the host's handlers.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    changed_ = pthread_sigmask(SIG_SETMASK, &all, &before_) == 0;
  }
  ~BlockedSignals() {
    if (changed_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
  bool changed_;
};

// Name, urgency and CPUs of the calling thread, one of the pool's. On Linux each thread has a nice value of its own.
void settle_in(int32_t nice, const CpuMask& cpus) {
  pthread_setname_np(pthread_self(), "kette");
  if (nice > 0) setpriority(PRIO_PROCESS, 0, std::min(19, getpriority(PRIO_PROCESS, 0) + nice));
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu = 0; cpu < 128; ++cpu)
    if (cpus.has(cpu)) CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

class ThreadPool final : public Executor {
 public:
  explicit ThreadPool(const ThreadPoolOptions& options) : spin_(std::chrono::microseconds(options.spin_us)) {
    const uint32_t wanted =
        std::min(options.n_threads == 0 ? usable_cores(options.cpus) : options.n_threads, kMaxThreads);
    threads_->reserve(wanted - 1);
    const BlockedSignals blocked;
    for (uint32_t worker = 1; worker < wanted; ++worker) {
      try {
        threads_->emplace_back([this, worker, nice = options.nice, cpus = options.cpus] {
          settle_in(nice, cpus);
          work(worker);
        });
      } catch (const std::exception&) {
        break;  // the system refuses more threads or memory for them: go on with those we have
      }
    }
  }

  ~ThreadPool() override {
    if (getpid() != pid_) {
      // A fork's child has none of these threads: there is nothing to join, and to detach them would touch freed stacks.
      static_cast<void>(threads_.release());
      return;
    }
    stop_.store(true);
    wake();
    for (std::thread& t : *threads_) t.join();
  }

  uint32_t width() const override { return static_cast<uint32_t>(threads_->size()) + 1; }

  void run(uint32_t n, Task task, void* arg) override {
    if (threads_->empty() || n <= 1) {
      for (uint32_t i = 0; i < n; ++i) task(arg, i, 0);
      return;
    }
    const std::lock_guard lock(run_mutex_);  // sessions on several host threads share the gang job by job
    for (uint32_t first = 0; first < n; first += kMaxTasks) run_some(first, std::min(n - first, kMaxTasks), task, arg);
  }

  void begin_step() override {
    if (steps_.fetch_add(1) == 0) wake();
  }
  void end_step() override { steps_.fetch_sub(1); }

 private:
  void run_some(uint32_t first, uint32_t n, Task task, void* arg) {
    task_ = task;
    arg_ = arg;
    first_ = first;
    completed_.store(0, std::memory_order_relaxed);
    ++epoch_;
    ticket_.store((epoch_ << 2 * kBits) | (static_cast<uint64_t>(n) << kBits));
    if (parked_.load() > 0) wake();
    take_tasks(0);
    for (uint32_t spins = 0; completed_.load(std::memory_order_acquire) != n; ++spins)
      spins < 4096 ? _mm_pause() : std::this_thread::yield();
  }

  static bool open(uint64_t ticket) { return (ticket & kMask) < (ticket >> kBits & kMask); }

  // Take tasks until the job has none left. A ticket taken in range keeps its job open until it is reported done, so
  // the job's fields cannot change under it; all are reported together, for the word is everybody's.
  void take_tasks(uint32_t worker) {
    uint32_t done = 0;
    while (open(ticket_.load(std::memory_order_relaxed))) {
      const uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
      if (!open(ticket)) break;
      task_(arg_, first_ + static_cast<uint32_t>(ticket & kMask), worker);
      ++done;
    }
    if (done > 0) completed_.fetch_add(done, std::memory_order_release);
  }

  void work(uint32_t worker) {
    while (!stop_.load()) {
      take_tasks(worker);
      if (!wait_awake()) park();
    }
  }

  // Watch the ticket for up to spin_ while a step is under way. True if there is work.
  bool wait_awake() {
    if (steps_.load() == 0) return false;
    const auto until = std::chrono::steady_clock::now() + spin_;
    do {
      for (int i = 0; i < 64; ++i) {
        if (open(ticket_.load(std::memory_order_relaxed))) return true;
        _mm_pause();
      }
      if (steps_.load(std::memory_order_relaxed) == 0) return false;
    } while (std::chrono::steady_clock::now() < until);
    return false;
  }

  void park() {
    const uint32_t seen = wake_word_.load();
    parked_.fetch_add(1);
    // Announce first, look again after: a run() that missed the announcement has stored its ticket by now.
    if (!stop_.load() && !open(ticket_.load())) wake_word_.wait(seen);
    parked_.fetch_sub(1);
  }

  void wake() {
    wake_word_.fetch_add(1);
    wake_word_.notify_all();
  }

  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> completed_{0};
  alignas(64) std::atomic<uint32_t> wake_word_{0};
  std::atomic<uint32_t> parked_{0};
  std::atomic<uint32_t> steps_{0};
  std::atomic<bool> stop_{false};
  Task task_ = nullptr;
  void* arg_ = nullptr;
  uint32_t first_ = 0;
  uint64_t epoch_ = 0;
  std::mutex run_mutex_;
  std::chrono::steady_clock::duration spin_;
  const pid_t pid_ = getpid();
  std::unique_ptr<std::vector<std::thread>> threads_ = std::make_unique<std::vector<std::thread>>();
};

}  // namespace

Result<std::unique_ptr<Executor>> make_thread_pool(const ThreadPoolOptions& options) {
  if (options.n_threads > kMaxThreads)
    return error(Code::kInvalidArgument, "n_threads: {}, expected at most {}", options.n_threads, kMaxThreads);
  if (!options.cpus.empty() && !may_use(options.cpus))
    return error(Code::kInvalidArgument, "cpu mask {:#x} {:#x}: this process may use none of these CPUs",
                 options.cpus.low, options.cpus.high);
  return std::unique_ptr<Executor>(std::make_unique<ThreadPool>(options));
}

}  // namespace kette
