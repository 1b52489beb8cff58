#include "nn/kv_type.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/float_types.h"

namespace kette::nn {
namespace {

const auto& formats_of_types() {
  static const std::array formats{
#define KETTE_KV_TYPE(type, format) find_format(#format),
#include "kernels/kv_types.inc"
#undef KETTE_KV_TYPE
  };
  return formats;
}

// As the format's encoder does, but for ties: with the kernel that rounds activations, for it is quick.
void store_q8_0(const kernels::VectorKernels& vector, const float* x, std::byte* block) {
  int8_t q[32];
  float scale, sum16[2];
  vector.quantize(x, 32, q, &scale, sum16);
  const uint16_t half = float_to_f16(scale);
  std::memcpy(block, &half, sizeof half);
  std::memcpy(block + sizeof half, q, sizeof q);
}

void store_block(const kernels::VectorKernels& vector, KvType type, const float* x, std::byte* block) {
  const Format& f = kv_format(type);
  type == KvType::kQ8_0 ? store_q8_0(vector, x, block) : f.encode(x, block, f.block_size);
}

}  // namespace

const Format& kv_format(KvType type) { return *formats_of_types()[static_cast<size_t>(type)]; }

std::optional<KvType> kv_type_of(int64_t number) {
  if (number < 0 || static_cast<uint64_t>(number) >= formats_of_types().size()) return std::nullopt;
  return static_cast<KvType>(number);
}

void store_row(const kernels::VectorKernels& vector, KvType type, const float* x, size_t n, std::byte* to) {
  if (type == KvType::kF16) return vector.to_f16(x, n, reinterpret_cast<uint16_t*>(to));
  if (type == KvType::kBf16) return vector.to_bf16(x, n, reinterpret_cast<uint16_t*>(to));
  const Format& f = kv_format(type);
  if (f.block_size == 1) return f.encode(x, to, n);
  for (; n >= f.block_size; n -= f.block_size, x += f.block_size, to += f.block_bytes) store_block(vector, type, x, to);
  if (n == 0) return;
  float last[KETTE_KV_BLOCK] = {};
  std::copy_n(x, n, last);
  store_block(vector, type, last, to);
}

void load_row(KvType type, const std::byte* row, size_t first, size_t n, float* to) {
  const Format& f = kv_format(type);
  const size_t whole = KETTE_KV_BLOCK / f.block_size * f.block_size;
  float piece[KETTE_KV_BLOCK];
  while (n > 0) {
    const size_t block = first / f.block_size, skip = first % f.block_size;
    const size_t wanted = std::min(n, whole - skip);
    f.decode(row + block * f.block_bytes, piece, (skip + wanted + f.block_size - 1) / f.block_size * f.block_size);
    std::copy_n(piece + skip, wanted, to);
    first += wanted;
    to += wanted;
    n -= wanted;
  }
}

void set_type(kernels::AttendArgs& args, KvType type) {
  const Format& f = kv_format(type);
  args.kv_type = type;
  args.decode = f.decode;
  args.block_size = f.block_size;
  args.block_bytes = f.block_bytes;
}

}  // namespace kette::nn
