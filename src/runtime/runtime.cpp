#include "runtime/runtime.h"

#include <unistd.h>

namespace kette {

bool Runtime::forked() const { return executor->width() > 1 && getpid() != pid; }

Result<std::shared_ptr<Runtime>> make_runtime(RuntimeOptions options) {
  auto runtime = std::make_shared<Runtime>();
  Isa isa = detect_isa();
  if (options.max_isa && *options.max_isa > isa)
    return error(Code::kCpu, "max_isa: needs {}, this CPU has {}", isa_name(*options.max_isa), isa_name(isa));
  if (options.max_isa) isa = *options.max_isa;
  if (!options.amx && isa == Isa::kAmx) isa = Isa::kAvx512Bf16;
  KETTE_ASSIGN(runtime->kernels, kernels::choose_kernels(isa, options.jit, options.log));
  if (options.executor != nullptr) {
    runtime->executor = std::move(options.executor);
  } else {
    KETTE_ASSIGN(runtime->executor, make_thread_pool(options.pool));
  }
  runtime->allocator = std::move(options.allocator);
  runtime->log = std::move(options.log);
  runtime->quantum_us = options.quantum_us;
  runtime->pid = getpid();
  return runtime;
}

}  // namespace kette
