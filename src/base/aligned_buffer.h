// A cache-line-aligned, move-only block of memory for weights, caches and scratch.
// Throws std::bad_alloc, which the C ABI's guard turns into KETTE_E_OUT_OF_MEMORY.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "base/allocator.h"

namespace kette {

inline constexpr std::size_t kCacheLine = 64;

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Uninitialised: the owner writes before it reads. `allocator` must outlive the buffer; nullptr: the heap.
  explicit AlignedBuffer(std::size_t count, Allocator* allocator = nullptr, MemoryUse use = MemoryUse::kScratch)
      : data_(nullptr, Free{allocator, use, count}) {
    if (count == 0) return;
    if (count > SIZE_MAX / 2 / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = count * sizeof(T);
    void* p = allocator != nullptr ? allocator->take(bytes, kCacheLine, use)
                                   : ::operator new (bytes, std::align_val_t{kCacheLine});
    if (p == nullptr) throw std::bad_alloc();
    data_.reset(static_cast<T*>(p));
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return data_.get_deleter().count; }
  std::span<T> span() { return {data(), size()}; }
  std::span<const T> span() const { return {data(), size()}; }
  T& operator[](std::size_t i) { return data_.get()[i]; }
  const T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    Allocator* allocator = nullptr;
    MemoryUse use = MemoryUse::kScratch;
    std::size_t count = 0;
    void operator()(T* p) const noexcept {
      if (allocator != nullptr)
        allocator->give_back(p, count * sizeof(T), kCacheLine, use);
      else
        ::operator delete (p, std::align_val_t{kCacheLine});
    }
  };
  static_assert(std::is_trivially_destructible_v<T>);
  std::unique_ptr<T, Free> data_;
};

}  // namespace kette
