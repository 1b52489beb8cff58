// q2_k: 256 numbers in 84 bytes, 16 groups of 16, x = d * scale * q - dmin * min, q in 0..3.
//   bytes  0..15  group g: low nibble scale, high nibble min
//   bytes 16..79  two halves of 32 bytes, one per 128 numbers; byte l, bits 2s..2s+1: q of number 32 s + l of the half
//   bytes 80..81  d, half
//   bytes 82..83  dmin, half
#include "quant/block.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 256, kBytes = 84;

// 32 numbers, two groups: bits kShift .. of q [32]. The shift is a constant so that bytes can be shifted sixteen at a time.
template <int kShift>
void decode_run(const std::byte* bytes, const uint8_t* scales, float d, float dmin, float* x) {
  const auto q = load<Bytes<32>>(bytes);
  const float scale = d * static_cast<float>(scales[0] & 15), min = dmin * static_cast<float>(scales[0] >> 4);
  const float scale2 = d * static_cast<float>(scales[1] & 15), min2 = dmin * static_cast<float>(scales[1] >> 4);
  for (size_t j = 0; j < 16; ++j) x[j] = scale * static_cast<float>(q[j] >> kShift & 3) - min;
  for (size_t j = 16; j < 32; ++j) x[j] = scale2 * static_cast<float>(q[j] >> kShift & 3) - min2;
}

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks + 80), dmin = load_f16(blocks + 82);
    for (size_t half = 0; half < 2; ++half) {
      const std::byte* q = blocks + 16 + 32 * half;
      const uint8_t* scales = octets(blocks) + 8 * half;
      float* x = out + i + 128 * half;
      decode_run<0>(q, scales, d, dmin, x);
      decode_run<2>(q, scales + 2, d, dmin, x + 32);
      decode_run<4>(q, scales + 4, d, dmin, x + 64);
      decode_run<6>(q, scales + 6, d, dmin, x + 96);
    }
  }
}

}  // namespace

const Format format_q2_k = {"q2_k", 10, kNumbers, kBytes, decode, nullptr};

}  // namespace kette
