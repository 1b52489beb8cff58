// What sessions share beside the model: threads, kernels, and where messages go.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>

#include "base/allocator.h"
#include "base/cpu_features.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace kette {

struct RuntimeOptions {
  ThreadPoolOptions pool{.n_threads = 0, .spin_us = 50, .nice = 5, .cpus = {}};  // unless `executor` is given
  uint32_t quantum_us = 1000;
  bool jit = true;
  bool amx = true;
  std::optional<Isa> max_isa;
  std::unique_ptr<Executor> executor;    // the host's; nullptr: Kette's own pool
  std::unique_ptr<Allocator> allocator;  // the host's; nullptr: the heap
  LogSink log;
};

struct Runtime {
  std::unique_ptr<Allocator> allocator;  // first: what it gave is given back before it goes
  std::unique_ptr<Executor> executor;
  kernels::Kernels kernels;
  LogSink log;
  uint32_t quantum_us = 0;  // the longest stretch of work between two safe points that is aimed at
  pid_t pid = 0;            // of the process that made it

  // In a fork's child that lacks the threads.
  bool forked() const;
};

Result<std::shared_ptr<Runtime>> make_runtime(RuntimeOptions options);

// Set from any thread or a signal handler; read at safe points.
using CancelFlag = std::atomic<bool>;
inline bool cancelled(const CancelFlag* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

}  // namespace kette
