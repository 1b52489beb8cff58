// q5_0: 32 numbers in 22 bytes, x = d * (q - 16), q in 0..31.
//   bytes  0..1   d, half
//   bytes  2..5   bit j of this word: bit 4 of q[j]
//   bytes  6..21  byte j: low nibble q[j], high nibble q[j + 16] (their bits 0..3)
#include "quant/fifth_bits.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 32, kBytes = 22;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks);
    const auto low = spread_fifth_bits(load<uint16_t>(blocks + 2)),
               high = spread_fifth_bits(load<uint16_t>(blocks + 4));
    const auto q = load<Bytes<16>>(blocks + 6);
    float* x = out + i;
    for (size_t j = 0; j < 16; ++j) x[j] = d * static_cast<float>(((q[j] & 15) | low[j]) - 16);
    for (size_t j = 0; j < 16; ++j) x[j + 16] = d * static_cast<float>((q[j] >> 4 | high[j]) - 16);
  }
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float* x = in + i;
    // The number of largest magnitude becomes the lowest level exactly, whatever its sign.
    const float d = peak_of(x, kNumbers) / -16.0f;
    const float inv = inverse(d);
    Bytes<kNumbers> q;
    // The product is rounded before 16.5 is added, as in the reference: numbers halfway between two levels depend on it.
    const auto level = [inv](float v) { return truncate_to(v * inv + 16.5f, 31); };
    for (size_t j = 0; j < kNumbers; ++j) q[j] = static_cast<uint8_t>(level(x[j]));
    store_f16(d, blocks);
    store(split_fifth_bits(q, blocks + 6), blocks + 2);
  }
}

}  // namespace

const Format format_q5_0 = {"q5_0", 6, kNumbers, kBytes, decode, encode};

}  // namespace kette
