// Weights of any format, decoded to floats in small pieces, times f32 activations.
#include "kernels/avx512/floats.h"
#include "kernels/decode_weights.h"

namespace kette::kernels::avx512 {
namespace {

enum : size_t { kPiece = 256, kMaxColumns = 16 };

// w [n] times x [n]. Four sums hide the latency of an addition.
__m512 dot_piece(const float* w, const float* x, size_t n) {
  __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j)
      sum[j] = _mm512_fmadd_ps(_mm512_loadu_ps(w + i + 16 * j), _mm512_loadu_ps(x + i + 16 * j), sum[j]);
  }
  for (; i < n; i += 16) {
    const __mmask16 some = first(n - i);
    sum[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(some, w + i), _mm512_maskz_loadu_ps(some, x + i), sum[0]);
  }
  return _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
}

}  // namespace

void dot_any_few(const DotArgs& a) {
  alignas(64) float weight[kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size;
  for (size_t row = 0; row < a.rows; ++row) {
    __m512 sum[kMaxColumns];
    for (size_t i = 0; i < a.m; ++i) sum[i] = _mm512_setzero_ps();
    for (size_t k = 0; k < a.k; k += piece) {
      const size_t n = a.k - k < piece ? a.k - k : piece;
      decode_weights(a, row, k, n, 0, weight);
      for (size_t i = 0; i < a.m; ++i) sum[i] = _mm512_add_ps(sum[i], dot_piece(weight, a.x[i].f32 + k, n));
    }
    for (size_t i = 0; i < a.m; ++i) a.y[i * a.y_stride + row] = _mm512_reduce_add_ps(sum[i]);
  }
}

}  // namespace kette::kernels::avx512
