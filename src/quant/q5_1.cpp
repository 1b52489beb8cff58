// q5_1: 32 numbers in 24 bytes, x = d * q + m, q in 0..31.
//   bytes  0..1   d, half
//   bytes  2..3   m, half: the smallest number of the block
//   bytes  4..7   bit j of this word: bit 4 of q[j]
//   bytes  8..23  byte j: low nibble q[j], high nibble q[j + 16] (their bits 0..3)
#include "quant/fifth_bits.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 32, kBytes = 24;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks), m = load_f16(blocks + 2);
    const auto low = spread_fifth_bits(load<uint16_t>(blocks + 4)),
               high = spread_fifth_bits(load<uint16_t>(blocks + 6));
    const auto q = load<Bytes<16>>(blocks + 8);
    float* x = out + i;
    for (size_t j = 0; j < 16; ++j) x[j] = d * static_cast<float>((q[j] & 15) | low[j]) + m;
    for (size_t j = 0; j < 16; ++j) x[j + 16] = d * static_cast<float>(q[j] >> 4 | high[j]) + m;
  }
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float* x = in + i;
    const auto [m, high] = range_of(x, kNumbers);
    const float d = (high - m) / 31.0f, inv = inverse(d);
    Bytes<kNumbers> q;
    for (size_t j = 0; j < kNumbers; ++j) q[j] = static_cast<uint8_t>(truncate_to((x[j] - m) * inv + 0.5f, 31));
    store_f16(d, blocks);
    store_f16(m, blocks + 2);
    store(split_fifth_bits(q, blocks + 8), blocks + 4);
  }
}

}  // namespace

const Format format_q5_1 = {"q5_1", 7, kNumbers, kBytes, decode, encode};

}  // namespace kette
