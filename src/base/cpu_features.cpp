#include "base/cpu_features.h"

#include <cpuid.h>

#include <cstdint>

namespace kette {
namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

// Which register states the operating system saves (XCR0).
uint64_t saved_states() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

constexpr bool bit(uint32_t word, int n) { return (word >> n & 1u) != 0; }

}  // namespace

// Bit numbers: Intel SDM vol. 2A, CPUID leaves 1, 7.0 and 7.1.
Isa detect_isa() {
  const Registers one = cpuid(1, 0);
  const bool osxsave = bit(one.ecx, 27);
  if (!osxsave) return Isa::kRef;
  const uint64_t xcr0 = saved_states();
  const Registers seven = cpuid(7, 0);
  const bool avx_state = (xcr0 & 0x6) == 0x6;
  if (!avx_state || !bit(one.ecx, 12) || !bit(one.ecx, 29) || !bit(seven.ebx, 5) || !bit(seven.ebx, 8))
    return Isa::kRef;
  const bool avx512_state = (xcr0 & 0xe0) == 0xe0;
  const bool foundation = bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 30) && bit(seven.ebx, 31);
  if (!avx512_state || !foundation || !bit(seven.ecx, 11)) return Isa::kAvx2;
  if (!bit(cpuid(7, 1).eax, 5)) return Isa::kAvx512;
  const bool tile_state = (xcr0 & 0x60000) == 0x60000;
  if (tile_state && bit(seven.edx, 22) && bit(seven.edx, 24) && bit(seven.edx, 25)) return Isa::kAmx;
  return Isa::kAvx512Bf16;
}

}  // namespace kette
