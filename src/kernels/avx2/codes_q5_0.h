// q5_0: 32 numbers are f16 d, a word of their fifth bits and 16 bytes (low nibbles, then high); d * (code - 16).
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q5_0 {
  enum : size_t { kNumbers = 32, kBytes = 22, kRun = 32, kNibbles = 0 };
  enum : bool { kOffsets = false };

  static __m256i codes(const uint8_t* p, size_t) {
    const __m256i below = _mm256_andnot_si256(spread_bits(p + 2), _mm256_set1_epi8(-16));  // no fifth bit: nibble - 16
    return _mm256_or_si256(nibbles_of(p + 6), below);
  }
};

}  // namespace
}  // namespace kette::kernels::avx2
