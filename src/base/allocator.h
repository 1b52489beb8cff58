// Where large memory comes from: the heap, or an allocator of the host's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kette {

// What memory is for. The numbers are part of the C ABI (KETTE_MEMORY_*).
enum class MemoryUse : uint32_t { kWeights = 1, kKvCache = 2, kScratch = 3 };

// Thread-safe.
class Allocator {
 public:
  virtual ~Allocator() = default;
  // n > 0 bytes, aligned to a power of two; nullptr: there are none.
  virtual void* take(std::size_t n, std::size_t align, MemoryUse use) = 0;
  virtual void give_back(void* p, std::size_t n, std::size_t align, MemoryUse use) noexcept = 0;
};

}  // namespace kette
