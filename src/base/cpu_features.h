// What this CPU can do, as the ladder of instruction sets Kette has kernels for.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace kette {

// Ordered: a CPU of one step runs the kernels of every step below it.
//   kAvx2     AVX2, FMA, F16C, BMI2
//   kAvx512   AVX-512 F, BW, DQ, VL, VNNI
//   kAvx512Bf16  kAvx512 and AVX512_BF16
//   kAmx      kAvx512Bf16 and AMX tiles bf16, int8 (the matmul asks the operating system for them when first used)
enum class Isa : int { kRef = 0, kAvx2, kAvx512, kAvx512Bf16, kAmx };
inline constexpr std::array<std::string_view, 5> kIsaNames = {"ref", "avx2", "avx512", "avx512_bf16", "amx"};

// The best step that this CPU and operating system run.
Isa detect_isa();

constexpr std::string_view isa_name(Isa isa) { return kIsaNames[static_cast<size_t>(isa)]; }

constexpr std::optional<Isa> parse_isa(std::string_view name) {
  for (size_t i = 0; i < kIsaNames.size(); ++i)
    if (kIsaNames[i] == name) return static_cast<Isa>(i);
  return std::nullopt;
}

}  // namespace kette
