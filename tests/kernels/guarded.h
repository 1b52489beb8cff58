// What the kernel tests share: arrays that end at an unreadable page, random numbers, and the ISA limit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#if defined(__unix__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "base/cpu_features.h"

namespace kette::test {

// The rows to test: those of this CPU, or fewer where KETTE_FORCE_ISA says so.
inline Isa isa_limit() {
  const Isa isa = detect_isa();
  const char* forced = std::getenv("KETTE_FORCE_ISA");
  const auto parsed = parse_isa(forced == nullptr ? "" : forced);
  return parsed ? std::min(isa, *parsed) : isa;
}

// [size] whose last byte is the last readable one, so that a read beyond it stops the test..
template <class T>
class Guarded {
 public:
  explicit Guarded(size_t size) : size_(size) {
#if defined(__unix__)
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t whole = (size * sizeof(T) + page - 1) / page * page;
    mapped_ = whole + page;
    base_ = static_cast<char*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    mprotect(base_ + whole, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(base_ + whole - size * sizeof(T));
#else
    heap_.resize(size);
    data_ = heap_.data();
#endif
  }
  explicit Guarded(std::span<const T> values) : Guarded(values.size()) {
    std::copy(values.begin(), values.end(), data_);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
#if defined(__unix__)
  ~Guarded() { munmap(base_, mapped_); }
#endif

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
#if defined(__unix__)
  char* base_ = nullptr;
  size_t mapped_ = 0;
#else
  std::vector<T> heap_;
#endif
  T* data_ = nullptr;
  size_t size_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  float normal() { return normal_(engine_); }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }
  uint32_t bits() { return static_cast<uint32_t>(engine_()); }
  std::vector<float> normals(size_t n) {
    std::vector<float> v(n);
    for (float& f : v) f = normal();
    return v;
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

inline bool same_bits(const float* a, const float* b, size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

}  // namespace kette::test
