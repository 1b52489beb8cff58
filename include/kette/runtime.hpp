/// Threads, instruction sets and log of everything that is opened with one runtime; and the flag that cancels.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kette/detail/handle.hpp"

KETTE_BEGIN_NAMESPACE

/// Version of the loaded library, 0x00MMmmpp; KETTE_VERSION is that of the headers.
inline std::uint32_t version() noexcept { return kette_version(); }
/// JSON: version, compiler, oneDNN, kernels. Static.
inline const char* build_info() noexcept { return kette_build_info(); }
/// Whether the loaded library can do what `name` says; false for names it does not know.
inline bool has_feature(const char* name) noexcept { return kette_has_feature(name) != 0; }

enum class log_level : std::int32_t { debug = 0, info = 1, warning = 2, error = 3 };

/// A message of Kette's: level, component, text. Called on any thread, also on several at once.
using log_function = std::function<void(log_level, std::string_view component, std::string_view message)>;

/// How a runtime is made. Zero and empty mean the default.
struct runtime_options {
  std::int32_t threads = 0;  ///< the caller's included; 0: the physical cores that this process may use
  std::int32_t thread_priority = KETTE_PRIORITY_BELOW_NORMAL;  ///< KETTE_PRIORITY_* of Kette's own threads
  std::uint32_t spin_us = 0;     ///< how long a worker waits awake between two parts of a step; 0: 50 µs
  std::uint32_t quantum_us = 0;  ///< how long a stretch of work between two safe points may be, about; 0: 1000 µs
  std::uint64_t cpu_mask_lo = 0, cpu_mask_hi = 0;  ///< CPUs 0 to 127 for Kette's own threads; both 0: no choice
  std::uint32_t flags = 0;                         ///< KETTE_RUNTIME_*
  std::string max_isa;  ///< "": the best of this CPU; "ref", "avx2", "avx512", "avx512_bf16", "amx"
  log_function log;     ///< empty: silence. What it throws is dropped: it may run on a worker
  log_level min_level = log_level::info;
  const kette_executor* executor = nullptr;    ///< the host's threads instead of Kette's; read by create()
  const kette_allocator* allocator = nullptr;  ///< the host's memory for weights, caches, scratch; read by create()

  runtime_options& set_threads(std::int32_t n) { return threads = n, *this; }
  runtime_options& set_thread_priority(std::int32_t p) { return thread_priority = p, *this; }
  runtime_options& set_spin_us(std::uint32_t us) { return spin_us = us, *this; }
  runtime_options& set_quantum_us(std::uint32_t us) { return quantum_us = us, *this; }
  runtime_options& set_cpu_mask(std::uint64_t lo, std::uint64_t hi = 0) {
    return cpu_mask_lo = lo, cpu_mask_hi = hi, *this;
  }
  runtime_options& set_flags(std::uint32_t bits) { return flags = bits, *this; }
  runtime_options& set_max_isa(std::string name) { return max_isa = std::move(name), *this; }
  runtime_options& set_log(log_function f, log_level from = log_level::info) {
    return log = std::move(f), min_level = from, *this;
  }
  runtime_options& set_executor(const kette_executor* e) { return executor = e, *this; }
  runtime_options& set_allocator(const kette_allocator* a) { return allocator = a, *this; }
};

/// A counted reference to a runtime: copies share it, the last one joins Kette's threads. Models and sessions keep
/// theirs alive. Copies may be used by several threads at once.
class runtime {
 public:
  /// Fails with invalid_argument on options that make no sense, cpu where the CPU lacks what Kette needs.
  static result<runtime> create(const runtime_options& options = {}) {
    auto params = detail::sized<kette_runtime_params>();
    params.flags = options.flags;
    params.n_threads = options.threads;
    params.thread_priority = options.thread_priority;
    params.spin_us = options.spin_us;
    params.quantum_us = options.quantum_us;
    params.cpu_mask_lo = options.cpu_mask_lo;
    params.cpu_mask_hi = options.cpu_mask_hi;
    params.max_isa = options.max_isa.empty() ? nullptr : options.max_isa.c_str();
    params.executor = options.executor;
    params.allocator = options.allocator;
    auto logger = detail::sized<kette_logger>();
    bool destroyed = false;
    std::unique_ptr<log_state> state;
    if (options.log) {
      state.reset(new log_state{options.log, &destroyed});
      logger.min_level = static_cast<std::int32_t>(options.min_level);
      logger.user = state.get();
      logger.log = &forward_log;
      logger.destroy = &destroy_log;
      params.logger = &logger;
    }
    auto made = detail::make<runtime, kette_runtime>(
        [&](kette_runtime** out, kette_error** e) { return kette_runtime_new(&params, out, e); });
    // On success the library owns the state; a failure may come before or after it took it over.
    if (made && state) state->destroyed = nullptr;
    if (made || destroyed) static_cast<void>(state.release());
    return made;
  }
  /// Adopts a reference; pairs with release().
  explicit runtime(kette_runtime* adopted) noexcept : handle_(adopted) {}

  /// JSON: the CPU's instruction set step, the one in use, threads.
  result<std::string> describe_cpu() const {
    return detail::make_string(
        [&](kette_buf** out, kette_error** e) { return kette_runtime_describe_cpu(raw(), out, e); });
  }

  /// The C handle; still owned by this object.
  kette_runtime* raw() const noexcept { return handle_.get(); }
  /// The C handle with this object's reference; the object is empty afterwards.
  kette_runtime* release() noexcept { return handle_.release(); }

 private:
  struct log_state {
    log_function log;
    bool* destroyed;  // set when the library lets go while create() is under way
  };
  static void forward_log(void* user, std::int32_t level, const char* component, const char* message, std::size_t n) {
    detail::thrown dropped;
    dropped.run(
        [&] {
          static_cast<log_state*>(user)->log(static_cast<log_level>(level), component, std::string_view(message, n));
          return 0;
        },
        0);
  }
  static void destroy_log(void* user) {
    auto* state = static_cast<log_state*>(user);
    if (state->destroyed != nullptr) *state->destroyed = true;
    delete state;
  }

  detail::shared<kette_runtime, kette_runtime_ref, kette_runtime_unref> handle_;
};
static_assert(sizeof(runtime) == sizeof(void*), "a handle is one pointer wide");

/// A flag that stops work at its next safe point. trigger() may come from any thread and from a signal handler, and
/// stays in force until reset(). Move-only; what was started with it keeps the flag alive.
class cancel {
 public:
  cancel() : handle_(kette_cancel_new()) {
    if (!handle_) detail::fail(error(errc::out_of_memory, "out of memory"));
  }
  void trigger() const noexcept { kette_cancel_trigger(raw()); }
  void reset() const noexcept { kette_cancel_reset(raw()); }
  kette_cancel* raw() const noexcept { return handle_.get(); }
  kette_cancel* release() noexcept { return handle_.release(); }

 private:
  detail::owned<kette_cancel, kette_cancel_unref> handle_;
};
static_assert(sizeof(cancel) == sizeof(void*), "a handle is one pointer wide");

KETTE_END_NAMESPACE
