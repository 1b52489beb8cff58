// q4_0: 32 numbers in 18 bytes, x = d * (q - 8), q in 0..15.
//   bytes  0..1   d, half
//   bytes  2..17  byte j: low nibble q[j], high nibble q[j + 16]
#include "quant/block.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 32, kBytes = 18;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks);
    const auto q = load<Bytes<16>>(blocks + 2);
    float* x = out + i;
    for (size_t j = 0; j < 16; ++j) x[j] = d * static_cast<float>((q[j] & 15) - 8);
    for (size_t j = 0; j < 16; ++j) x[j + 16] = d * static_cast<float>((q[j] >> 4) - 8);
  }
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float* x = in + i;
    // The number of largest magnitude becomes the lowest level exactly, whatever its sign.
    const float d = peak_of(x, kNumbers) / -8.0f;
    const float inv = inverse(d);
    store_f16(d, blocks);
    // The product is rounded before 8.5 is added, as in the reference: numbers halfway between two levels depend on it.
    const auto level = [inv](float v) { return truncate_to(v * inv + 8.5f, 15); };
    for (size_t j = 0; j < 16; ++j) blocks[2 + j] = static_cast<std::byte>(level(x[j]) | level(x[j + 16]) << 4);
  }
}

}  // namespace

const Format format_q4_0 = {"q4_0", 2, kNumbers, kBytes, decode, encode};

}  // namespace kette
