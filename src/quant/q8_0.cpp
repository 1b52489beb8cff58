// q8_0: 32 numbers in 34 bytes, x = d * q, q in -128..127 (the encoder uses -127..127).
//   bytes  0..1   d, half
//   bytes  2..33  q[j], signed byte
#include "quant/block.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 32, kBytes = 34;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks);
    const auto q = load<Bytes<32>>(blocks + 2);
    float* x = out + i;
    for (size_t j = 0; j < kNumbers; ++j) x[j] = d * static_cast<float>(static_cast<int8_t>(q[j]));
  }
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float* x = in + i;
    const float d = std::fabs(peak_of(x, kNumbers)) / 127.0f, inv = inverse(d);
    store_f16(d, blocks);
    for (size_t j = 0; j < kNumbers; ++j) {
      // Half away from zero. The fraction is exact in float, where adding 0.5 to 0.49999997 would round up to 1.
      const float magnitude = std::fabs(x[j] * inv), whole = std::floor(magnitude);
      const int level = truncate_to(whole + (magnitude - whole >= 0.5f ? 1.0f : 0.0f), 127);
      blocks[2 + j] = static_cast<std::byte>(std::signbit(x[j]) ? -level : level);
    }
  }
}

}  // namespace

const Format format_q8_0 = {"q8_0", 8, kNumbers, kBytes, decode, encode};

}  // namespace kette
