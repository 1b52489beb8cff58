// What sessions share beside the model: threads, kernels, and where messages go.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "base/cpu_features.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace kette {

struct RuntimeOptions {
  uint32_t n_threads = 0;  // 0: the physical cores this process may use
  uint32_t spin_us = 50;
  bool jit = true;
  bool amx = true;
  std::optional<Isa> max_isa;
  std::unique_ptr<Executor> executor;  // the host's; nullptr: Kette's own pool
  LogSink log;
};

struct Runtime {
  std::unique_ptr<Executor> executor;
  kernels::Kernels kernels;
  LogSink log;
};

Result<std::shared_ptr<Runtime>> make_runtime(RuntimeOptions options);

// Set from any thread or a signal handler; read at safe points.
using CancelFlag = std::atomic<bool>;
inline bool cancelled(const CancelFlag* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

}  // namespace kette
