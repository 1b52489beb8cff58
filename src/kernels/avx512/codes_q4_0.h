// q4_0: 32 weights are f16 d, 16 bytes (low nibbles, then high), meaning (code - 8) * d.
#pragma once

#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4_0 : Nibbles<2> {
  static constexpr size_t kBlock = 32, kBytes = 18, kParts = 1, kSums = 0, kOffset = 8, kMostCode = 15;

  static void factors(const Rows& rows, float* out) { store(out, low_halves(dwords<false>(rows, 0))); }
};

}  // namespace
}  // namespace kette::kernels::avx512
