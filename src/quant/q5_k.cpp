// q5_k: 256 numbers in 176 bytes, 8 groups of 32, x = d * scale * q - dmin * min, q in 0..31.
//   bytes  0..1    d, half
//   bytes  2..3    dmin, half
//   bytes  4..15   scales and mins, see k_scales.h
//   bytes 16..47   byte l, bit g: bit 4 of q of number l of group g
//   bytes 48..175  four runs of 32 bytes, run r: low nibbles belong to group 2r, high nibbles to group 2r + 1
#include "quant/block.h"
#include "quant/k_scales.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 256, kBytes = 176;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks), dmin = load_f16(blocks + 2);
    const KScales s = unpack_k_scales(octets(blocks) + 4);
    const auto top = load<Bytes<32>>(blocks + 16);
    for (size_t g = 0; g < 8; g += 2) {
      const auto q = load<Bytes<32>>(blocks + 48 + 16 * g);
      const float low = d * static_cast<float>(s.scale[g]), low_min = dmin * static_cast<float>(s.min[g]);
      const float high = d * static_cast<float>(s.scale[g + 1]), high_min = dmin * static_cast<float>(s.min[g + 1]);
      const auto low_bit = static_cast<uint8_t>(1 << g), high_bit = static_cast<uint8_t>(2 << g);
      float* x = out + i + 32 * g;
      for (size_t j = 0; j < 32; ++j)
        x[j] = low * static_cast<float>((q[j] & 15) | ((top[j] & low_bit) != 0 ? 16 : 0)) - low_min;
      for (size_t j = 0; j < 32; ++j)
        x[j + 32] = high * static_cast<float>(q[j] >> 4 | ((top[j] & high_bit) != 0 ? 16 : 0)) - high_min;
    }
  }
}

}  // namespace

const Format format_q5_k = {"q5_k", 13, kNumbers, kBytes, decode, nullptr};

}  // namespace kette
