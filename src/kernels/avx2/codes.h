// What the block formats are to a kernel that fills a panel: numbers code * step + offset, the codes signed bytes. One
// codes_FORMAT.h each, which wider instruction sets include too, with a struct that says
//   kNumbers, kBytes        of a block
//   kRun                    numbers with one step: 16 or 32
//   kOffsets                whether each 32 have an offset; none is 0
//   codes(block, group)     the codes of numbers 32 * group and the 31 after it, in their order
//   factors(block, f)       of blocks of 256: f[0..] the steps, f[8..] the offsets if there are. The step of a block
//                           of 32 is the half at its byte 0, the offset the one at its byte 2.
//   kNibbles                0, or 16 or 32 if codes are levels() [16] of nibbles: the low ones of so many bytes at
//                           nibbles(block, group) belong to as many numbers, the high ones to those that follow
// A product of code and step is exact in a float: it does not matter how it is taken. Internal linkage only.
#pragma once

#include "kernels/avx2/simd.h"

namespace kette::kernels::avx2 {
namespace {

inline __m256i load_codes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Levels from `least` on.
inline __m128i levels_from(int least) {
  const __m128i up = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm_add_epi8(up, _mm_set1_epi8(static_cast<char>(least)));
}
inline __m128i iq4_levels() {
  return _mm_set_epi8(113, 89, 69, 53, 38, 25, 13, 1, -10, -22, -35, -49, -65, -83, -104, -127);
}

// Of 16 bytes the low nibbles, then the high ones.
inline __m256i nibbles_of(const uint8_t* p) {
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_and_si256(_mm256_srlv_epi32(twice, _mm256_set_epi32(4, 4, 4, 4, 0, 0, 0, 0)), _mm256_set1_epi8(15));
}
// Bits [shift, shift + 4) of 32 bytes, shift at most 4.
inline __m256i nibbles_at(const uint8_t* p, size_t shift) {
  const __m256i right = _mm256_srlv_epi32(load_codes(p), _mm256_set1_epi32(static_cast<int>(shift)));
  return _mm256_and_si256(right, _mm256_set1_epi8(15));
}

inline __m256i look_up(__m128i levels, __m256i nibbles) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(levels), nibbles);
}

// Of a word's 32 bits a byte each, of ones or of zeros.
inline __m256i spread_bits(const uint8_t* p) {
  int32_t word;
  memcpy(&word, p, 4);
  const __m256i byte = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(word), byte);
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
}

inline float half_at(const uint8_t* p) {
  uint16_t bits;
  memcpy(&bits, p, 2);
  return _cvtsh_ss(bits);
}

// q4_k and q5_k: d, dmin, and eight 6-bit scales and mins in 12 bytes. Dwords a b c of those: bytes of a are scales 0 to
// 3, of b mins 0 to 3 (6 bits); those 4 to 7 have their low four bits in c (scale in the low nibble, min in the high one)
// and the upper two in the top of a and b.
inline void k_factors(const uint8_t* p, float* f) {
  const __m128i head = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));  // d dmin, a, b, c
  const __m128i low =
      _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0)),
                    _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
  const __m128i top = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                                    _mm_set_epi32(0x30303030, 0, 0x30303030, 0));
  const __m128i sixes = _mm_or_si128(low, top);
  const __m128 halves = _mm_cvtph_ps(head);
  const __m256 d = _mm256_broadcastss_ps(halves);
  const __m256 dmin = _mm256_broadcastss_ps(_mm_movehdup_ps(halves));
  const __m256 scales = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(sixes));
  const __m256 mins = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(sixes, sixes)));
  _mm256_store_ps(f, _mm256_mul_ps(scales, d));
  _mm256_store_ps(f + 8, _mm256_xor_ps(_mm256_mul_ps(mins, dmin), _mm256_set1_ps(-0.0f)));
}

}  // namespace
}  // namespace kette::kernels::avx2
