// bf16 into a bfloat16 panel: pairs are transposed as they lie.
#include "kernels/avx512/transpose.h"
#include "kernels/avx512_bf16/unpack.h"

namespace kette::kernels::avx512_bf16 {
namespace {

constexpr size_t kStep = 32;

// The first n numbers at p, zeros after them.
__m512i load_pairs(const uint8_t* p, size_t n) {
  return n >= kStep ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((1u << n) - 1u, p);
}

}  // namespace

void unpack_bf16_bf16(const UnpackArgs& a) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    const Sixteen rows(a, row);
    for (size_t k = 0; k < a.n; k += kStep) {
      const size_t n = a.n - k < kStep ? a.n - k : kStep;
      __m512i v[kRows];
#pragma GCC unroll 16
      for (size_t r = 0; r < kRows; ++r) v[r] = load_pairs(rows.at[r] + 2 * k, n);
      avx512::transpose(v);
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows; ++i) {
        if (2 * i >= n) break;
        rows.store(k + 2 * i, v[i]);
      }
    }
    rows.clear(a, a.rows - row);
  }
}

}  // namespace kette::kernels::avx512_bf16
