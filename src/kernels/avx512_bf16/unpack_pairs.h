// Formats of two bytes a number: pairs are transposed as they lie. Internal linkage only.
#pragma once

#include "kernels/avx512/transpose.h"
#include "kernels/avx512_bf16/unpack.h"

namespace kette::kernels::avx512_bf16 {
namespace {

constexpr size_t kTwoBytes = 32;  // numbers of a row that are read at once

// to_pair: two numbers of each row as stored, dword r those of row r, as bfloat16.
template <class ToPair>
inline void unpack_pairs(const UnpackArgs& a, const ToPair& to_pair) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    const Sixteen rows(a, row);
    for (size_t k = 0; k < a.n; k += kTwoBytes) {
      const size_t n = a.n - k < kTwoBytes ? a.n - k : kTwoBytes;
      const __mmask32 there = n >= kTwoBytes ? 0xffffffffu : (1u << n) - 1u;
      __m512i v[kRows];
#pragma GCC unroll 16
      for (size_t r = 0; r < kRows; ++r) v[r] = _mm512_maskz_loadu_epi16(there, rows.at[r] + 2 * k);
      avx512::transpose(v);
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows; ++i) {
        if (2 * i >= n) break;
        rows.store(k + 2 * i, to_pair(v[i]));
      }
    }
    rows.clear(a, a.rows - row);
  }
}

}  // namespace
}  // namespace kette::kernels::avx512_bf16
