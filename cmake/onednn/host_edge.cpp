// oneDNN's edge to its host, closed: no environment variable steers it and nothing is printed, whatever DNNL_VERBOSE,
// DNNL_MAX_CPU_ISA or DNNL_JIT_DUMP say. Stands in for oneDNN's common/verbose.cpp, whose output is switched off
// anyway (DISABLE_VERBOSE) and which alone would pull in engines, streams and every primitive behind them.
#include "common/verbose.hpp"

extern "C" char* kette_onednn_getenv(const char*) { return nullptr; }

namespace dnnl {
namespace impl {

uint32_t get_verbose(verbose_t::flag_kind, component_t::flag_kind) noexcept { return verbose_t::none; }
bool get_verbose_timestamp() { return false; }
void verbose_printf_impl(const char*, verbose_t::flag_kind) {}

}  // namespace impl
}  // namespace dnnl
