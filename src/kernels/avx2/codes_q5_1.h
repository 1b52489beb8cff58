// q5_1: 32 numbers are f16 d, f16 m, a word of their fifth bits and 16 bytes (low nibbles, then high); d * code + m.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q5_1 {
  enum : size_t { kNumbers = 32, kBytes = 24, kRun = 32, kNibbles = 0 };
  enum : bool { kOffsets = true };

  static __m256i codes(const uint8_t* p, size_t) {
    return _mm256_or_si256(nibbles_of(p + 8), _mm256_and_si256(spread_bits(p + 4), _mm256_set1_epi8(16)));
  }
};

}  // namespace
}  // namespace kette::kernels::avx2
