// f16: IEEE half.
#include "quant/block.h"

namespace kette {
namespace {

// f16_to_float without branches, so that the loop below becomes vector code.
inline float widen(uint16_t h) {
  const uint32_t magnitude = h & 0x7fffu;
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t rebias = magnitude >= 0x7c00u ? 224u << 23 : 112u << 23;  // infinity and NaN go to exponent 255
  const uint32_t normal = (magnitude << 13) + rebias;
  const uint32_t subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t is_subnormal = magnitude < 0x400u ? ~0u : 0u;
  return std::bit_cast<float>(sign | (subnormal & is_subnormal) | (normal & ~is_subnormal));
}

void decode(const std::byte* blocks, float* out, size_t n) {
  constexpr size_t kRun = 16;
  size_t i = 0;
  for (; i + kRun <= n; i += kRun) {
    const auto half = load<std::array<uint16_t, kRun>>(blocks + 2 * i);
    for (size_t j = 0; j < kRun; ++j) out[i + j] = widen(half[j]);
  }
  for (; i < n; ++i) out[i] = widen(load<uint16_t>(blocks + 2 * i));
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; ++i) store_f16(in[i], blocks + 2 * i);
}

}  // namespace

const Format format_f16 = {"f16", 1, 1, 2, decode, encode, "F16"};

}  // namespace kette
