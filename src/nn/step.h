// What the parts of a forward pass share: threads, kernels, scratch, and the first thing that went wrong.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "nn/arena.h"
#include "nn/profile.h"

namespace kette::nn {

// How activations are rounded and in what order sums are taken.
enum class Mode {
  kFast,           // integer or bf16 activations, the quickest kernels for the number of rows
  kDeterministic,  // fast kernels of one order of accumulation, whatever the number of rows
  kExact,          // float32 activations
};

// One thread's scratch.
struct WorkerScratch {
  WorkerScratch(const kernels::Kernels& k, Allocator* allocator);
  AlignedBuffer<std::byte> panel;  // those of a piece of work
  AlignedBuffer<std::byte> multiply;
};

// Scratch of one session.
struct Scratch {
  Scratch(const kernels::Kernels& k, uint32_t width, Allocator* allocator = nullptr)
      : arena(allocator), workers(width) {
    for (auto& w : workers) w = std::make_unique<WorkerScratch>(k, allocator);
  }
  size_t bytes() const;
  Arena arena;
  std::vector<std::unique_ptr<WorkerScratch>> workers;
};

class Adapters;

class Step {
 public:
  Step(Executor& executor, const kernels::Kernels& kernels, Mode mode, Scratch& scratch,
       const Adapters* adapters = nullptr, Profile* profile = nullptr)
      : executor(executor),
        kernels(kernels),
        mode(mode),
        adapters(adapters),
        profile(profile),
        arena(scratch.arena),
        scratch_(scratch) {
    executor.begin_step();
  }
  ~Step() { executor.end_step(); }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  const kernels::VectorKernels& vector() const { return *kernels.vector; }
  // Rounds what it multiplies, as other parts do, where the mode lets it and the cache is not in float.
  kernels::Attend attend(kernels::KvType cache) const {
    return mode == Mode::kFast && cache != kernels::KvType::kF32 ? kernels.fast_attend : kernels.attend;
  }
  WorkerScratch& worker(uint32_t i) { return *scratch_.workers[i]; }

  // f(first, last) over [0, n) in pieces of at least `grain`, on all threads if that is more than one piece. Always by
  // the executor: it may stop there and later skip what is done (runtime/safe_points.h), so that what a layer does
  // between such calls has to be cheap and to come to the same when it is done again.
  template <class F>
  void parallel_rows(size_t n, size_t grain, F&& f) {
    const size_t pieces = std::min<size_t>((n + grain - 1) / grain, executor.width() * 4);
    executor.parallel_for(static_cast<uint32_t>(pieces),
                          [&](uint32_t i, uint32_t) { f(n * i / pieces, n * (i + 1) / pieces); });
  }

  void fail(Status status) {
    const std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
  }
  const Status& status() const { return status_; }

  Executor& executor;
  const kernels::Kernels& kernels;
  const Mode mode;
  const Adapters* const adapters;  // what multiply() adds to the model's matrices; nullptr: nothing
  Profile* const profile;          // is then `executor` too; nullptr: nothing is measured
  Arena& arena;

 private:
  Scratch& scratch_;
  std::mutex mutex_;
  Status status_;
};

}  // namespace kette::nn
