// Sixteen rows of a bfloat16 panel at a time. Internal linkage only.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512_bf16 {
namespace {

constexpr size_t kRows = 16, kWidth = KETTE_PANEL_WIDTH;

inline __m256i load32(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Rows beyond the last repeat it, so that all take the same path, and are cleared in the end.
struct Sixteen {
  const uint8_t* at[kRows];
  uint16_t* panel;  // their first column

  Sixteen(const UnpackArgs& a, size_t row) : panel(static_cast<uint16_t*>(a.panel) + 2 * row) {
    for (size_t r = 0; r < kRows; ++r) at[r] = a.weight + (row + r < a.rows ? row + r : a.rows - 1) * a.row_bytes;
  }
  void advance(size_t bytes) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) at[r] += bytes;
  }
  // Numbers k and k + 1 of each row, k even.
  void store(size_t k, __m512i pairs) const { _mm512_store_si512(panel + k * kWidth, pairs); }

  // Numbers past the stored ones, in pairs all of which are, and the columns from `rows` on.
  void clear(const UnpackArgs& a, size_t rows) const {
    for (size_t k = (a.n + 1) / 2 * 2; k < a.depth; k += 2) store(k, _mm512_setzero_si512());
    if (rows >= kRows) return;
    const __mmask16 beyond = static_cast<__mmask16>(0xffffu << rows);
    for (size_t k = 0; k < a.n; k += 2) _mm512_mask_storeu_epi32(panel + k * kWidth, beyond, _mm512_setzero_si512());
  }
};

// Two numbers of each row, dword r those of row r, from `low` with the numbers of rows 0 to 7 in turn and `high` with
// those of rows 8 to 15. The instruction takes numbers below 2^-126 for zero; no product of a half and an integer is one.
inline __m512i narrow(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

}  // namespace
}  // namespace kette::kernels::avx512_bf16
