// q8_0: 32 weights are f16 d, 32 int8. A code is weight + 128: the dot instruction wants one side unsigned.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q8_0 {
  static constexpr size_t kBlock = 32, kBytes = 34, kParts = 1, kSums = 0, kOffset = 128, kMostCode = 255;

  static __m512i code(__m512i weights) { return _mm512_xor_si512(weights, _mm512_set1_epi8(static_cast<char>(0x80))); }
  static void factors(const Rows& rows, float* out) { store(out, low_halves(dwords<false>(rows, 0))); }
  static void codes(const Rows& rows, uint8_t* out) {
    __m512i v[8];
    load_eights(rows, 2, v);
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j) store(out + 64 * j, code(v[j]));
  }
  static constexpr size_t kAtOnce = 1, kShift = 0;
  static void quarters(const Rows& rows, size_t r, size_t half, size_t, __m512i (&codes)[1]) {
    codes[0] = code(four_rows(rows, r, 2 + 16 * half));
  }
};

}  // namespace
}  // namespace kette::kernels::avx512
