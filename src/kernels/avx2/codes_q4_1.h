// q4_1: 32 numbers are f16 d, f16 m and 16 bytes (low nibbles, then high); d * nibble + m.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4_1 {
  enum : size_t { kNumbers = 32, kBytes = 20, kRun = 32, kNibbles = 16 };
  enum : bool { kOffsets = true };

  static __m128i levels() { return levels_from(0); }
  static const uint8_t* nibbles(const uint8_t* p, size_t) { return p + 4; }
  static __m256i codes(const uint8_t* p, size_t) { return nibbles_of(p + 4); }
};

}  // namespace
}  // namespace kette::kernels::avx2
