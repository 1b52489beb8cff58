// Threads and kernels for tests of single layers, on the ISA that KETTE_FORCE_ISA names.
#pragma once

#include "support/model.h"

namespace kette::test {

struct TestKernels {
  explicit TestKernels(uint32_t n_threads)
      : pool(value(make_thread_pool({n_threads, 20}))), kernels(value(kernels::choose_kernels(test_isa(), true, {}))) {}
  std::unique_ptr<Executor> pool;
  kernels::Kernels kernels;
};

}  // namespace kette::test
