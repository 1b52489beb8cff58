#include "handles.h"

using kette::Code;
using kette::Result;

namespace kette::capi {
namespace {

Result<ThreadPoolOptions> pool_options(const kette_runtime_params& p) {
  ThreadPoolOptions pool;
  if (p.n_threads < 0 || p.n_threads > 1024)
    return error(Code::kInvalidArgument, "n_threads: {}, expected 0 to 1024", p.n_threads);
  pool.n_threads = (p.flags & KETTE_RUNTIME_NO_THREADS) != 0 ? 1 : static_cast<uint32_t>(p.n_threads);
  pool.spin_us = p.spin_us > 0 ? p.spin_us : 50;
  switch (p.thread_priority) {
    case KETTE_PRIORITY_BELOW_NORMAL: pool.nice = 5; break;
    case KETTE_PRIORITY_NORMAL: pool.nice = 0; break;
    case KETTE_PRIORITY_IDLE: pool.nice = 19; break;
    default: return error(Code::kInvalidArgument, "thread_priority: {}, expected KETTE_PRIORITY_*", p.thread_priority);
  }
  pool.cpus = {p.cpu_mask_lo, p.cpu_mask_hi};
  return pool;
}

Result<RuntimeOptions> runtime_options(const kette_runtime_params& p) {
  RuntimeOptions options;
  KETTE_ASSIGN(options.log, host_log(p.logger));  // first: from here on its destroy is called whatever happens
  KETTE_TRY(require_flags(p.flags, KETTE_RUNTIME_NO_THREADS | KETTE_RUNTIME_NO_JIT | KETTE_RUNTIME_NO_AMX,
                          "kette_runtime_params.flags"));
  KETTE_ASSIGN(options.pool, pool_options(p));
  options.quantum_us = p.quantum_us > 0 ? p.quantum_us : 1000;
  options.jit = (p.flags & KETTE_RUNTIME_NO_JIT) == 0;
  options.amx = (p.flags & KETTE_RUNTIME_NO_AMX) == 0;
  if (p.max_isa != nullptr) {
    options.max_isa = parse_isa(p.max_isa);
    if (!options.max_isa)
      return error(Code::kInvalidArgument, "max_isa: {:.32}, expected ref, avx2, avx512, avx512_bf16 or amx",
                   p.max_isa);
  }
  KETTE_ASSIGN(options.allocator, host_allocator(p.allocator));
  if ((p.flags & KETTE_RUNTIME_NO_THREADS) == 0) {
    KETTE_ASSIGN(options.executor, host_executor(p.executor));
  }
  return options;
}

}  // namespace

Status not_forked(const Runtime& runtime) {
  if (!runtime.forked()) return {};
  return error(Code::kForked, "made before this process was forked, by a runtime with threads, which the child lacks");
}

}  // namespace kette::capi

extern "C" {

kette_status kette_runtime_new(const kette_runtime_params* params, kette_runtime** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_ASSIGN(const kette_runtime_params p, read_struct(params, "kette_runtime_params"));
    KETTE_ASSIGN(kette::RuntimeOptions options, runtime_options(p));
    KETTE_TRY(require(out, "out"));
    auto handle = std::make_unique<kette_runtime>();
    KETTE_ASSIGN(handle->runtime, kette::make_runtime(std::move(options)));
    *out = handle.release();
    return KETTE_OK;
  });
}

void kette_runtime_ref(kette_runtime* runtime) {
  if (runtime != nullptr) runtime->references.fetch_add(1, std::memory_order_relaxed);
}

void kette_runtime_unref(kette_runtime* runtime) {
  if (runtime != nullptr && runtime->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete runtime;
}

kette_status kette_runtime_describe_cpu(const kette_runtime* runtime, kette_buf** json, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(runtime, "runtime"));
    KETTE_TRY(require(json, "json"));
    const kette::Runtime& r = *runtime->runtime;
    const bool has_bf16_panels = std::ranges::any_of(
        r.kernels.fast_panels, [](const auto& p) { return p->type() == kette::kernels::PanelType::kBf16; });
    *json = make_buf(fmt::format(
        R"({{"isa": "{}", "cpu_isa": "{}", "generated_code": {}, "generated_isa": "{}", "bf16_panels": {}, )"
        R"("threads": {}, "usable_cores": {}, "quantum_us": {}}})",
        kette::isa_name(r.kernels.isa), kette::isa_name(kette::detect_isa()), !r.kernels.generated_isa.empty(),
        r.kernels.generated_isa, has_bf16_panels, r.executor->width(), kette::usable_cores(), r.quantum_us));
    return KETTE_OK;
  });
}

kette_cancel* kette_cancel_new(void) {
  try {
    return new kette_cancel{std::make_shared<kette::CancelFlag>(false)};
  } catch (...) {
    return nullptr;
  }
}
void kette_cancel_trigger(kette_cancel* cancel) {
  if (cancel != nullptr) cancel->flag->store(true, std::memory_order_relaxed);
}
void kette_cancel_reset(kette_cancel* cancel) {
  if (cancel != nullptr) cancel->flag->store(false, std::memory_order_relaxed);
}
void kette_cancel_unref(kette_cancel* cancel) { delete cancel; }

}  // extern "C"
