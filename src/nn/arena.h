// Scratch memory of a forward pass: taken in order, given back by scope, kept for the next pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/aligned_buffer.h"
#include "nn/tensor.h"

namespace kette::nn {

class Arena {
 public:
  explicit Arena(Allocator* allocator = nullptr) : allocator_(allocator) {}

  // Everything taken after a Mark is free again when it goes.
  class Mark {
   public:
    explicit Mark(Arena& arena) : arena_(arena), chunk_(arena.chunk_), used_(arena.used_), live_(arena.live_) {}
    ~Mark() {
      if (arena_.held_) return;
      arena_.chunk_ = chunk_;
      arena_.used_ = used_;
      arena_.live_ = live_;
    }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    Arena& arena_;
    size_t chunk_, used_, live_;
  };

  // While held, nothing that was taken is given to another, Marks or no: whoever takes the same sizes in the same order
  // after a rewind finds what was there.
  void hold(bool held) { held_ = held; }
  // Everything is free again.
  void rewind() { chunk_ = used_ = live_ = 0; }

  // Uninitialised, cache-line aligned.
  template <class T>
  T* take(size_t count) {
    return reinterpret_cast<T*>(take_bytes(count * sizeof(T)));
  }
  Tensor tensor(size_t rows, size_t cols) { return {take<float>(rows * cols), rows, cols, cols}; }

  // While nothing is wanted any more: as much as was ever taken at once, in one piece. Prompts of growing lengths would
  // otherwise leave chunks behind that are each too small for the next.
  void settle() {
    rewind();
    if (chunks_.size() <= 1) return;
    chunks_.clear();
    chunks_.emplace_back(peak_, allocator_);
  }

  size_t bytes() const {
    size_t sum = 0;
    for (const auto& chunk : chunks_) sum += chunk.size();
    return sum;
  }

 private:
  std::byte* take_bytes(size_t n) {
    n = (n + kCacheLine - 1) / kCacheLine * kCacheLine;
    live_ += n;
    peak_ = std::max(peak_, live_);
    while (chunk_ < chunks_.size() && chunks_[chunk_].size() - used_ < n) {
      ++chunk_;
      used_ = 0;
    }
    if (chunk_ == chunks_.size()) chunks_.emplace_back(std::max(n, kChunkBytes), allocator_);
    std::byte* p = chunks_[chunk_].data() + used_;
    used_ += n;
    return p;
  }

  static constexpr size_t kChunkBytes = 1 << 20;
  Allocator* allocator_;
  std::vector<AlignedBuffer<std::byte>> chunks_;
  size_t chunk_ = 0, used_ = 0;
  size_t live_ = 0, peak_ = 0;  // bytes taken now, and at most so far
  bool held_ = false;
};

}  // namespace kette::nn
