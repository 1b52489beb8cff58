#include "nn/kv_cache.h"

#include <cstring>

#include "base/checked.h"

namespace kette::nn {

Result<KvCache> KvCache::make(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator) {
  auto bytes = checked_mul(shape.layers * shape.heads * 2, shape.row_bytes(type));
  if (bytes) bytes = checked_mul(*bytes, capacity);
  if (!bytes || *bytes > PTRDIFF_MAX)
    return error(Code::kBudget, "KV cache of {} positions: its size does not fit an address", capacity);
  return KvCache(shape, type, capacity, allocator);
}

void KvCache::copy_from(const KvCache& other, size_t n) {
  for (size_t layer = 0; layer < shape_.layers; ++layer)
    for (size_t head = 0; head < shape_.heads; ++head)
      for (size_t which = 0; which < 2; ++which)
        std::memcpy(data_.data() + at(layer, head, which), other.data_.data() + other.at(layer, head, which),
                    n * shape_.row_bytes(type_));
}

}  // namespace kette::nn
