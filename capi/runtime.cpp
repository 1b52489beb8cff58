#include "handles.h"

using kette::Code;
using kette::Result;

extern "C" {

kette_status kette_runtime_new(const kette_runtime_params* params, kette_runtime** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require(out, "out"));
    KETTE_ASSIGN(const kette_runtime_params p, read_struct(params, "kette_runtime_params"));
    constexpr uint32_t kKnown = KETTE_RUNTIME_NO_THREADS | KETTE_RUNTIME_NO_JIT | KETTE_RUNTIME_NO_AMX;
    if ((p.flags & ~kKnown) != 0)
      return kette::error(Code::kInvalidArgument, "kette_runtime_params.flags: {:#x} has unknown bits", p.flags);
    if (p.n_threads < 0 || p.n_threads > 1024)
      return kette::error(Code::kInvalidArgument, "n_threads: {}, expected 0 to 1024", p.n_threads);
    kette::RuntimeOptions options;
    options.n_threads = (p.flags & KETTE_RUNTIME_NO_THREADS) != 0 ? 1 : static_cast<uint32_t>(p.n_threads);
    if (p.spin_us > 0) options.spin_us = p.spin_us;
    options.jit = (p.flags & KETTE_RUNTIME_NO_JIT) == 0;
    options.amx = (p.flags & KETTE_RUNTIME_NO_AMX) == 0;
    if (p.max_isa != nullptr) {
      options.max_isa = kette::parse_isa(p.max_isa);
      if (!options.max_isa)
        return kette::error(Code::kInvalidArgument, "max_isa: {:.32}, expected ref, avx2, avx512, avx512_bf16 or amx",
                            p.max_isa);
    }
    if (options.n_threads != 1 || p.executor != nullptr) {
      KETTE_ASSIGN(options.executor, host_executor(p.executor));
    }
    KETTE_ASSIGN(options.log, host_log(p.logger));
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
    KETTE_TRY(require(runtime, "runtime"));
    KETTE_TRY(require(json, "json"));
    const kette::Runtime& r = *runtime->runtime;
    *json = make_buf(fmt::format(
        R"({{"isa": "{}", "cpu_isa": "{}", "bf16_panels": {}, "threads": {}, "usable_cores": {}}})",
        kette::isa_name(r.kernels.isa), kette::isa_name(kette::detect_isa()), r.kernels.fast_panel != nullptr,
        r.executor->width(), kette::usable_cores()));
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
