// Formats of two bytes a number: what is read of sixteen rows at once. Internal linkage only.
#pragma once

#include "kernels/avx512_bf16/unpack.h"

namespace kette::kernels::avx512_bf16 {
namespace {

constexpr size_t kTwoBytes = 32;  // numbers of a row that are read at once

// Numbers [k, k + n) of each row, zeros after them.
inline __attribute__((always_inline)) void load_pairs(const Sixteen& rows, size_t k, size_t n, __m512i (&v)[kRows]) {
  const __mmask32 there = n >= kTwoBytes ? 0xffffffffu : (1u << n) - 1u;
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) v[r] = _mm512_maskz_loadu_epi16(there, rows.at[r] + 2 * k);
}

}  // namespace
}  // namespace kette::kernels::avx512_bf16
