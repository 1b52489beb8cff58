// q3_k: 256 numbers in 110 bytes, 16 groups of 16, x = d * (scale - 32) * (q - 4), q in 0..7, scale in 0..63.
//   bytes   0..31   byte l, bit s: bit 2 of q of number 32 s + l
//   bytes  32..95   two halves of 32 bytes, one per 128 numbers; byte l, bits 2s..2s+1: bits 0..1 of q of number 32 s + l
//   bytes  96..103  byte g: low nibble = bits 0..3 of scale[g], high nibble = those of scale[g + 8]
//   bytes 104..107  byte k, bits 2r..2r+1: bits 4..5 of scale[4 r + k]
//   bytes 108..109  d, half
#include "quant/block.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 256, kBytes = 110;

// 32 numbers, two groups: run kRun of a half. Constant shifts let bytes be shifted sixteen at a time.
template <int kRun>
void decode_run(const std::byte* low, const std::byte* top, uint8_t top_bit, const float* scales, float* x) {
  const auto q = load<Bytes<32>>(low), t = load<Bytes<32>>(top);
  const float scale = scales[2 * kRun], scale2 = scales[2 * kRun + 1];
  const auto level = [&](size_t j) {
    return static_cast<float>((q[j] >> 2 * kRun & 3) - ((t[j] & top_bit) != 0 ? 0 : 4));
  };
  for (size_t j = 0; j < 16; ++j) x[32 * kRun + j] = scale * level(j);
  for (size_t j = 16; j < 32; ++j) x[32 * kRun + j] = scale2 * level(j);
}

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks + 108);
    const uint8_t* packed = octets(blocks) + 96;
    float scales[16];
    for (size_t g = 0; g < 16; ++g) {
      const int low = packed[g % 8] >> (g < 8 ? 0 : 4) & 15, high = packed[8 + g % 4] >> 2 * (g / 4) & 3;
      scales[g] = d * static_cast<float>((low | high << 4) - 32);
    }
    for (size_t half = 0; half < 2; ++half) {
      const std::byte* low = blocks + 32 + 32 * half;
      float* x = out + i + 128 * half;
      decode_run<0>(low, blocks, half == 0 ? 1 : 16, scales + 8 * half, x);
      decode_run<1>(low, blocks, half == 0 ? 2 : 32, scales + 8 * half, x);
      decode_run<2>(low, blocks, half == 0 ? 4 : 64, scales + 8 * half, x);
      decode_run<3>(low, blocks, half == 0 ? 8 : 128, scales + 8 * half, x);
    }
  }
}

}  // namespace

const Format format_q3_k = {"q3_k", 11, kNumbers, kBytes, decode, nullptr};

}  // namespace kette
