#include "nn/kv_cache.h"

#include <cstring>

#include "base/checked.h"

namespace kette::nn {

Result<size_t> KvCache::size(const KvShape& shape, KvType type, size_t capacity) {
  auto bytes = checked_mul(shape.layers * shape.heads, shape.key_bytes(type) + shape.value_bytes(type));
  if (bytes) bytes = checked_mul(*bytes, capacity);
  if (!bytes || *bytes > PTRDIFF_MAX)
    return error(Code::kBudget, "KV cache of {} positions: its size does not fit an address", capacity);
  return *bytes;
}

Result<KvCache> KvCache::make(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator) {
  KETTE_TRY(size(shape, type, capacity).status());
  return KvCache(shape, type, capacity, allocator);
}

void KvCache::copy_from(const KvCache& other, size_t n) {
  for (size_t layer = 0; layer < shape_.layers; ++layer)
    for (size_t head = 0; head < shape_.heads; ++head) {
      const std::byte* from = other.data_.data() + other.at(layer, head);
      std::memcpy(keys(layer, head), from, n * shape_.key_bytes(type_));
      std::memcpy(values(layer, head), from + other.capacity_ * shape_.key_bytes(type_), n * shape_.value_bytes(type_));
    }
}

void store_row(const kernels::VectorKernels& vector, KvType type, const float* x, size_t n, std::byte* to) {
  switch (type) {
    case KvType::kF32: std::memcpy(to, x, n * sizeof(float)); break;
    case KvType::kF16: vector.to_f16(x, n, reinterpret_cast<uint16_t*>(to)); break;
    case KvType::kBf16: vector.to_bf16(x, n, reinterpret_cast<uint16_t*>(to)); break;
  }
}

}  // namespace kette::nn
