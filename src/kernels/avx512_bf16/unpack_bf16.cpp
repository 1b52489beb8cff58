// bf16 into a bfloat16 panel: pairs are transposed as they lie.
#include "kernels/avx512/transpose.h"
#include "kernels/avx512_bf16/unpack_pairs.h"

namespace kette::kernels::avx512_bf16 {

void unpack_bf16_bf16(const UnpackArgs& a) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    const Sixteen rows(a, row);
    for (size_t k = 0; k < a.n; k += kTwoBytes) {
      const size_t n = a.n - k < kTwoBytes ? a.n - k : kTwoBytes;
      __m512i v[kRows];
      load_pairs(rows, k, n, v);
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
