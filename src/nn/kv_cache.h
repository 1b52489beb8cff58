// The keys and values of one sequence, per layer and key/value head contiguous over positions.
#pragma once

#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "kernels/kernel_table.h"

namespace kette::nn {

using kernels::KvType;

struct KvShape {
  size_t layers, heads, head_dim;
  size_t row_bytes(KvType type) const { return head_dim * (type == KvType::kF32 ? 4 : 2); }
};

class KvCache {
 public:
  // Memory is touched (and so used) only as far as positions are stored. kBudget if the size overflows.
  static Result<KvCache> make(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator = nullptr);

  KvType type() const { return type_; }
  size_t capacity() const { return capacity_; }
  const KvShape& shape() const { return shape_; }
  size_t bytes() const { return data_.size(); }

  // [capacity][head_dim] of type()
  std::byte* keys(size_t layer, size_t head) { return data_.data() + at(layer, head, 0); }
  std::byte* values(size_t layer, size_t head) { return data_.data() + at(layer, head, 1); }

  // Take over the first n positions of a cache of the same shape and type.
  void copy_from(const KvCache& other, size_t n);

 private:
  KvCache(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator)
      : shape_(shape), type_(type), capacity_(capacity), data_(at(shape.layers, 0, 0), allocator, MemoryUse::kKvCache) {}
  size_t at(size_t layer, size_t head, size_t which) const {
    return ((layer * shape_.heads + head) * 2 + which) * capacity_ * shape_.row_bytes(type_);
  }

  KvShape shape_;
  KvType type_;
  size_t capacity_;
  AlignedBuffer<std::byte> data_;
};

}  // namespace kette::nn
