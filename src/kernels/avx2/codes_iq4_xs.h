// iq4_xs: 256 numbers are f16 d, the upper two bits of eight 6-bit scales in 2 bytes, their lower four in 4 bytes, and
// for each 32 numbers 16 bytes (low nibbles, then high); d * (scale - 32) * level of the nibble.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Iq4Xs {
  enum : size_t { kNumbers = 256, kBytes = 136, kRun = 32, kNibbles = 16 };
  enum : bool { kOffsets = false };

  static __m128i levels() { return iq4_levels(); }
  static const uint8_t* nibbles(const uint8_t* p, size_t group) { return p + 8 + 16 * group; }
  static __m256i codes(const uint8_t* p, size_t group) { return look_up(levels(), nibbles_of(nibbles(p, group))); }

  static void factors(const uint8_t* p, float* f) {
    uint16_t upper;
    int32_t lower;
    memcpy(&upper, p + 2, 2);
    memcpy(&lower, p + 4, 4);
    const __m256i fours =
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(lower), _mm256_set_epi32(28, 24, 20, 16, 12, 8, 4, 0)),
                         _mm256_set1_epi32(15));
    const __m256i twos = _mm256_and_si256(
        _mm256_srlv_epi32(_mm256_set1_epi32(upper), _mm256_set_epi32(14, 12, 10, 8, 6, 4, 2, 0)), _mm256_set1_epi32(3));
    const __m256i scale = _mm256_sub_epi32(_mm256_or_si256(fours, _mm256_slli_epi32(twos, 4)), _mm256_set1_epi32(32));
    _mm256_store_ps(f, _mm256_mul_ps(_mm256_cvtepi32_ps(scale), _mm256_set1_ps(half_at(p))));
  }
};

}  // namespace
}  // namespace kette::kernels::avx2
