// iq4_xs: 256 numbers in 136 bytes, 8 groups of 32, x = d * (scale - 32) * level[q], scale in 0..63, q in 0..15,
// levels in iq4_levels.h.
//   bytes  0..1    d, half
//   bytes  2..3    word, bits 2g..2g+1: bits 4..5 of scale[g]
//   bytes  4..7    byte k: low nibble = bits 0..3 of scale[2k], high nibble = those of scale[2k + 1]
//   bytes  8..135  group g, 16 bytes: byte j: low nibble q[j], high nibble q[j + 16]
#include "quant/block.h"
#include "quant/iq4_levels.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 256, kBytes = 136;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks);
    const int high = load<uint16_t>(blocks + 2);
    const uint8_t* low = octets(blocks) + 4;
    for (size_t g = 0; g < 8; ++g) {
      const int scale = (low[g / 2] >> 4 * (g % 2) & 15) | (high >> 2 * g & 3) << 4;
      decode_iq4(octets(blocks) + 8 + 16 * g, d * static_cast<float>(scale - 32), out + i + 32 * g);
    }
  }
}

}  // namespace

const Format format_iq4_xs = {"iq4_xs", 23, kNumbers, kBytes, decode, nullptr};

}  // namespace kette
