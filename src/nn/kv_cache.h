// The keys and values of one sequence, per layer and key/value head contiguous over positions.
#pragma once

#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "kernels/kernel_table.h"

namespace kette::nn {

using kernels::KvType;

inline size_t kv_element_bytes(KvType type) { return type == KvType::kF32 ? 4 : 2; }

struct KvShape {
  size_t layers, heads;
  size_t key_dim, value_dim;  // value_dim is 0 where values are made of the keys' rows (latent attention)
  size_t key_bytes(KvType type) const { return key_dim * kv_element_bytes(type); }
  size_t value_bytes(KvType type) const { return value_dim * kv_element_bytes(type); }
};

class KvCache {
 public:
  // Bytes of a cache. kBudget if they overflow.
  static Result<size_t> size(const KvShape& shape, KvType type, size_t capacity);
  // Memory is touched (and so used) only as far as positions are stored. kBudget if the size overflows.
  static Result<KvCache> make(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator = nullptr);

  KvType type() const { return type_; }
  size_t capacity() const { return capacity_; }
  const KvShape& shape() const { return shape_; }
  size_t bytes() const { return data_.size(); }

  // [capacity][key_dim] and [capacity][value_dim] of type()
  std::byte* keys(size_t layer, size_t head) { return data_.data() + at(layer, head); }
  std::byte* values(size_t layer, size_t head) { return keys(layer, head) + capacity_ * shape_.key_bytes(type_); }

  // Take over the first n positions of a cache of the same shape and type.
  void copy_from(const KvCache& other, size_t n);

 private:
  KvCache(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator)
      : shape_(shape), type_(type), capacity_(capacity), data_(at(shape.layers, 0), allocator, MemoryUse::kKvCache) {}
  size_t at(size_t layer, size_t head) const {
    return (layer * shape_.heads + head) * capacity_ * (shape_.key_bytes(type_) + shape_.value_bytes(type_));
  }

  KvShape shape_;
  KvType type_;
  size_t capacity_;
  AlignedBuffer<std::byte> data_;
};

// A row of floats as `type`.
void store_row(const kernels::VectorKernels& vector, KvType type, const float* x, size_t n, std::byte* to);

}  // namespace kette::nn
