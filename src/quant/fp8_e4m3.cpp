// fp8_e4m3: 8-bit floats as in "FP8 formats for deep learning" (Micikevicius et al. 2022), sign, 4 bits of exponent
// with bias 7, 3 of mantissa; no infinities, and only s.1111.111 is not a number. Their scales, one for each tile of
// weights, lie apart from them: nn::Weight::decode multiplies.
#include <limits>

#include "quant/block.h"

namespace kette {
namespace {

// Selections rather than branches, and no subnormal float on the way: the loop becomes vector code, and a CPU that
// takes those for zero (or takes long for them) gives the same.
float decode_one(uint8_t byte) {
  const uint32_t magnitude = byte & 0x7fu;
  const float normal = std::bit_cast<float>((magnitude << 20) + (120u << 23));
  const float small = static_cast<float>(static_cast<int>(magnitude)) * 0x1p-9f;  // below 2^-6: no hidden bit
  const float finite = magnitude < 8 ? small : normal;
  const float value = magnitude == 0x7f ? std::numeric_limits<float>::quiet_NaN() : finite;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | (static_cast<uint32_t>(byte & 0x80u) << 24));
}

void decode(const std::byte* blocks, float* out, size_t n) {
  constexpr size_t kRun = 32;
  size_t i = 0;
  for (; i + kRun <= n; i += kRun) {
    const auto bytes = load<Bytes<kRun>>(blocks + i);
    for (size_t j = 0; j < kRun; ++j) out[i + j] = decode_one(bytes[j]);
  }
  for (; i < n; ++i) out[i] = decode_one(static_cast<uint8_t>(blocks[i]));
}

// To nearest, halves to even; what is beyond 448 becomes 448.
uint8_t encode_one(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu, sign = bits >> 24 & 0x80u;
  const float size = std::bit_cast<float>(magnitude);
  uint32_t code = 0x7f;
  if (size >= 448.0f) code = 0x7e;
  // Adding a float whose last bit is worth the step rounds to the step.
  else if (size < 0x1p-6f)
    code = std::bit_cast<uint32_t>(size + 0x1p14f) & 0xfu;
  else if (!std::isnan(x))
    code = ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
  return static_cast<uint8_t>(sign | code);
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; ++i) blocks[i] = static_cast<std::byte>(encode_one(in[i]));
}

}  // namespace

const Format format_fp8_e4m3 = {"fp8_e4m3", kNoGgmlFormat, 1, 1, decode, encode, "F8_E4M3", true};

}  // namespace kette
