#include "kernels/onednn/isa_limit.h"

#include <oneapi/dnnl/dnnl.h>

#include <array>
#include <utility>

namespace kette::kernels {
namespace {

// Best first; each oneDNN value holds the bits of all below it.
constexpr std::array<std::pair<Isa, dnnl_cpu_isa_t>, 4> kSteps = {{{Isa::kAmx, dnnl_cpu_isa_avx512_core_amx},
                                                                   {Isa::kAvx512Bf16, dnnl_cpu_isa_avx512_core_bf16},
                                                                   {Isa::kAvx512, dnnl_cpu_isa_avx512_core_vnni},
                                                                   {Isa::kAvx2, dnnl_cpu_isa_avx2}}};

}  // namespace

Isa limit_generated_code(Isa isa) {
  if (isa < detect_isa())
    for (const auto& [step, value] : kSteps)
      if (step == isa) dnnl_set_max_cpu_isa(value);  // refused if it is set already
  const unsigned holds = dnnl_get_effective_cpu_isa();
  for (const auto& [step, value] : kSteps)
    if ((holds & value) == value) return step;
  return Isa::kRef;
}

}  // namespace kette::kernels
