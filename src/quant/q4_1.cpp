// q4_1: 32 numbers in 20 bytes, x = d * q + m, q in 0..15.
//   bytes  0..1   d, half
//   bytes  2..3   m, half: the smallest number of the block
//   bytes  4..19  byte j: low nibble q[j], high nibble q[j + 16]
#include "quant/block.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 32, kBytes = 20;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks), m = load_f16(blocks + 2);
    const auto q = load<Bytes<16>>(blocks + 4);
    float* x = out + i;
    for (size_t j = 0; j < 16; ++j) x[j] = d * static_cast<float>(q[j] & 15) + m;
    for (size_t j = 0; j < 16; ++j) x[j + 16] = d * static_cast<float>(q[j] >> 4) + m;
  }
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float* x = in + i;
    const auto [m, high] = range_of(x, kNumbers);
    const float d = (high - m) / 15.0f, inv = inverse(d);
    store_f16(d, blocks);
    store_f16(m, blocks + 2);
    const auto level = [m = m, inv](float v) { return truncate_to((v - m) * inv + 0.5f, 15); };
    for (size_t j = 0; j < 16; ++j) blocks[4 + j] = static_cast<std::byte>(level(x[j]) | level(x[j + 16]) << 4);
  }
}

}  // namespace

const Format format_q4_1 = {"q4_1", 3, kNumbers, kBytes, decode, encode};

}  // namespace kette
