// q4_1: 32 weights are f16 d, f16 m, 16 bytes (low nibbles, then high), meaning code * d + m.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4_1 : Nibbles<4> {
  static constexpr size_t kBlock = 32, kBytes = 20, kParts = 1, kSums = 1, kOffset = 0, kMostCode = 15;

  static void factors(const Rows& rows, float* out) {
    const __m512i d_m = dwords<false>(rows, 0);
    store(out, low_halves(d_m));
    store(out + kStrip, high_halves(d_m));
  }
};

}  // namespace
}  // namespace kette::kernels::avx512
