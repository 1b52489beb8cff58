// iq4_nl: 32 numbers in 18 bytes, x = d * level[q], q in 0..15, levels in iq4_levels.h.
//   bytes  0..1   d, half
//   bytes  2..17  byte j: low nibble q[j], high nibble q[j + 16]
#include "quant/block.h"
#include "quant/iq4_levels.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 32, kBytes = 18;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) decode_iq4(octets(blocks) + 2, load_f16(blocks), out + i);
}

}  // namespace

const Format format_iq4_nl = {"iq4_nl", 20, kNumbers, kBytes, decode, nullptr};

}  // namespace kette
