// f16 into a bfloat16 panel: pairs are transposed, become floats, and are narrowed.
#include "kernels/avx512/transpose.h"
#include "kernels/avx512_bf16/unpack_pairs.h"

namespace kette::kernels::avx512_bf16 {

void unpack_f16_bf16(const UnpackArgs& a) {
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
        const __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(v[i]));
        const __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v[i], 1));
        rows.store(k + 2 * i, narrow(low, high));
      }
    }
    rows.clear(a, a.rows - row);
  }
}

}  // namespace kette::kernels::avx512_bf16
