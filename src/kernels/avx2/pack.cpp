// Sixteen rows into sixteen columns of a panel, as floats or as pairs of bfloat16.
#include "kernels/avx2/floats.h"
#include "kernels/avx2/transpose.h"
#include "kernels/avx2/vector.h"

namespace kette::kernels::avx2 {
namespace {

__m256i load_dwords(const float* p, size_t n) { return _mm256_castps_si256(load_first(p, n)); }

void store(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

}  // namespace

void pack_f32(const float* rows, size_t ld, size_t n_k, float* out, size_t width) {
  for (size_t k = 0; k < n_k; k += 8) {
    const size_t n = n_k - k < 8 ? n_k - k : 8;
    for (size_t column = 0; column < 16; column += 8) {
      __m256i v[8];
#pragma GCC unroll 8
      for (size_t i = 0; i < 8; ++i) v[i] = load_dwords(rows + (column + i) * ld + k, n);
      transpose(v);
      for (size_t i = 0; i < n; ++i) store(out + (k + i) * width + column, v[i]);
    }
  }
}

void pack_bf16(const float* rows, size_t ld, size_t n_k, uint16_t* out, size_t width) {
  for (size_t k = 0; k < n_k; k += 16) {
    const size_t n = n_k - k < 16 ? n_k - k : 16;
    for (size_t column = 0; column < 16; column += 8) {
      __m256i v[8];  // of each row the 16 numbers as 8 pairs
#pragma GCC unroll 8
      for (size_t i = 0; i < 8; ++i) {
        const float* from = rows + (column + i) * ld + k;
        v[i] = low_halves(to_bf16_dwords(load_first(from, n)),
                          to_bf16_dwords(n > 8 ? load_first(from + 8, n - 8) : _mm256_setzero_ps()));
      }
      transpose(v);
      for (size_t i = 0; i < n / 2; ++i) store(out + ((k / 2 + i) * width + column) * 2, v[i]);
    }
  }
}

}  // namespace kette::kernels::avx2
