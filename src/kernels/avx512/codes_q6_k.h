// q6_k: 256 weights are 128 bytes of low nibbles, 64 bytes of upper two bits, 16 int8 scales (one of 16 weights),
// f16 d; d * scale * (code - 32). Of each 128 weights byte l of 64 holds weights l (low) and l + 64 (high nibble),
// and byte l of 32 the upper bits of weights l, l + 32, l + 64, l + 96.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q6K {
  static constexpr size_t kBlock = 256, kBytes = 210, kParts = 2, kSums = 0, kOffset = 32, kMostCode = 63;

  static void codes(const Rows& rows, uint8_t* out) {
    for (size_t half = 0; half < 2; ++half) {
      __m512i a[8], b[8], upper[8];
      load_eights(rows, 64 * half, a);
      load_eights(rows, 64 * half + 32, b);
      load_eights(rows, 128 + 32 * half, upper);
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
        __m512i codes[4];
        join_parts(a[j], b[j], upper[j], codes);
#pragma GCC unroll 4
        for (size_t part = 0; part < 4; ++part) store(out + (4 * half + part) * kCodes + 64 * j, codes[part]);
      }
    }
  }
  // Four groups, 128 weights.
  static constexpr size_t kAtOnce = 4, kShift = 0;
  static void quarters(const Rows& rows, size_t r, size_t half, size_t g, __m512i (&codes)[4]) {
    const size_t low = 16 * g + 16 * half, upper = 128 + 8 * g + 16 * half;
    join_parts(four_rows(rows, r, low), four_rows(rows, r, low + 32), four_rows(rows, r, upper), codes);
  }
  // Codes of four groups, from the nibbles of the first and third, and of the others, and the upper bits of all.
  static void join_parts(__m512i a, __m512i b, __m512i upper, __m512i (&codes)[4]) {
    codes[0] = join(a, _mm512_slli_epi16(upper, 4), 0x3f);
    codes[1] = join(b, _mm512_slli_epi16(upper, 2), 0x3f);
    codes[2] = join(_mm512_srli_epi16(a, 4), upper, 0x3f);
    codes[3] = join(_mm512_srli_epi16(b, 4), _mm512_srli_epi16(upper, 2), 0x3f);
  }

  static inline __attribute__((always_inline)) void factors(const Rows& rows, float* out) {
    const __m512 d = high_halves(dwords<true>(rows, 194));
    __m512i v[4];
    load_fours(rows, 192, v);  // four scales of each row
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      const __m512i from_zero = _mm512_xor_si512(v[i / 4], _mm512_set1_epi8(static_cast<char>(0x80)));  // scale + 128
      const __m512 scale = _mm512_sub_ps(byte_over_2_23(from_zero, i % 4), _mm512_set1_ps(0x1p23f + 128.0f));
      store(out + static_cast<size_t>(i) * kStrip, _mm512_mul_ps(scale, d));
    }
  }
};

}  // namespace
}  // namespace kette::kernels::avx512
