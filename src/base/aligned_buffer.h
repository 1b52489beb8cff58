// A cache-line-aligned, move-only block of memory for weights, caches and scratch.
// Throws std::bad_alloc, which the C ABI's guard turns into KETTE_E_OUT_OF_MEMORY.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace kette {

inline constexpr std::size_t kCacheLine = 64;

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Uninitialised: the owner writes before it reads.
  explicit AlignedBuffer(std::size_t count) : size_(count) {
    if (count == 0) return;
    if (count > SIZE_MAX / 2 / sizeof(T)) throw std::bad_alloc();
    data_.reset(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kCacheLine})));
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::span<T> span() { return {data_.get(), size_}; }
  std::span<const T> span() const { return {data_.get(), size_}; }
  T& operator[](std::size_t i) { return data_.get()[i]; }
  const T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t{kCacheLine}); }
  };
  static_assert(std::is_trivially_destructible_v<T>);
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace kette
