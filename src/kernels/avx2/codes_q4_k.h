// q4_k: 256 numbers are 16 bytes of factors and 128 of nibbles, each 32 of which hold 32 numbers in the low and the next
// ones in the high nibbles; d * scale * nibble - dmin * min.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4K {
  enum : size_t { kNumbers = 256, kBytes = 144, kRun = 32, kNibbles = 32 };
  enum : bool { kOffsets = true };

  static __m128i levels() { return levels_from(0); }
  static const uint8_t* nibbles(const uint8_t* p, size_t group) { return p + 16 + group / 2 * 32; }
  static __m256i codes(const uint8_t* p, size_t group) { return nibbles_at(nibbles(p, group), group % 2 * 4); }
  static void factors(const uint8_t* p, float* f) { k_factors(p, f); }
};

}  // namespace
}  // namespace kette::kernels::avx2
