// f32: plain IEEE single, as it lies.
#include "quant/block.h"

namespace kette {
namespace {

void decode(const std::byte* blocks, float* out, size_t n) {
  if (n != 0) std::memcpy(out, blocks, n * sizeof(float));
}

void encode(const float* in, std::byte* blocks, size_t n) {
  if (n != 0) std::memcpy(blocks, in, n * sizeof(float));
}

}  // namespace

const Format format_f32 = {"f32", 0, 1, 4, decode, encode, "F32"};

}  // namespace kette
