// iq4_nl: 32 numbers are f16 d and 16 bytes (low nibbles, then high); d * level of the nibble.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Iq4Nl {
  enum : size_t { kNumbers = 32, kBytes = 18, kRun = 32, kNibbles = 16 };
  enum : bool { kOffsets = false };

  static __m128i levels() { return iq4_levels(); }
  static const uint8_t* nibbles(const uint8_t* p, size_t) { return p + 2; }
  static __m256i codes(const uint8_t* p, size_t) { return look_up(levels(), nibbles_of(p + 2)); }
};

}  // namespace
}  // namespace kette::kernels::avx2
