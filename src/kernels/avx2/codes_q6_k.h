// q6_k: 256 numbers are 128 bytes of low nibbles, 64 bytes of upper two bits, 16 int8 scales (one of 16 numbers), f16 d;
// d * scale * (code - 32). Of each 128 numbers byte l of 64 holds numbers l (low) and l + 64 (high nibble), and byte l of 32
// the upper bits of numbers l, l + 32, l + 64, l + 96.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q6K {
  enum : size_t { kNumbers = 256, kBytes = 210, kRun = 16, kNibbles = 0 };
  enum : bool { kOffsets = false };

  static __m256i codes(const uint8_t* p, size_t group) {
    const size_t half = group / 4, run = group % 4;
    const __m256i low = nibbles_at(p + 64 * half + 32 * (run % 2), run / 2 * 4);
    const __m256i bits =
        _mm256_srlv_epi32(load_codes(p + 128 + 32 * half), _mm256_set1_epi32(static_cast<int>(2 * run)));
    const __m256i high = _mm256_and_si256(_mm256_slli_epi32(bits, 4), _mm256_set1_epi8(48));
    return _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
  }

  static void factors(const uint8_t* p, float* f) {
    const __m128i scales = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 192));
    const __m256 d = _mm256_set1_ps(half_at(p + 208));
    _mm256_store_ps(f, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(scales)), d));
    const __m128i second = _mm_unpackhi_epi64(scales, scales);
    _mm256_store_ps(f + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(second)), d));
  }
};

}  // namespace
}  // namespace kette::kernels::avx2
