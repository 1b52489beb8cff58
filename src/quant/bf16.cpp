// bf16: the upper 16 bits of an IEEE single.
#include "quant/block.h"

namespace kette {
namespace {

void decode(const std::byte* blocks, float* out, size_t n) {
  constexpr size_t kRun = 16;
  size_t i = 0;
  for (; i + kRun <= n; i += kRun) {
    const auto upper = load<std::array<uint16_t, kRun>>(blocks + 2 * i);
    for (size_t j = 0; j < kRun; ++j) out[i + j] = bf16_to_float(upper[j]);
  }
  for (; i < n; ++i) out[i] = bf16_to_float(load<uint16_t>(blocks + 2 * i));
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; ++i) store(float_to_bf16(in[i]), blocks + 2 * i);
}

}  // namespace

const Format format_bf16 = {"bf16", 30, 1, 2, decode, encode, "BF16"};

}  // namespace kette
