// q5_k: 256 numbers are 16 bytes of factors, 32 bytes whose bit g is the fifth one of 32 numbers of group g, and 128 of
// nibbles, each 32 of which hold a group in the low and the next one in the high nibbles; d * scale * code - dmin * min.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q5K {
  enum : size_t { kNumbers = 256, kBytes = 176, kRun = 32, kNibbles = 0 };
  enum : bool { kOffsets = true };

  static __m256i codes(const uint8_t* p, size_t group) {
    const __m256i bits = _mm256_srlv_epi32(load_codes(p + 16), _mm256_set1_epi32(static_cast<int>(group)));
    const __m256i fifth = _mm256_and_si256(_mm256_slli_epi32(bits, 4), _mm256_set1_epi8(16));
    return _mm256_or_si256(nibbles_at(p + 48 + group / 2 * 32, group % 2 * 4), fifth);
  }
  static void factors(const uint8_t* p, float* f) { k_factors(p, f); }
};

}  // namespace
}  // namespace kette::kernels::avx2
