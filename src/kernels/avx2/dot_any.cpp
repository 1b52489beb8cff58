// Weights of any format, decoded to floats in small pieces, times f32 activations.
#include "kernels/avx2/floats.h"
#include "kernels/decode_weights.h"

namespace kette::kernels::avx2 {
namespace {

enum : size_t { kPiece = 256, kMaxColumns = 16 };

// w [n] times x [n], n a multiple of 8. Four sums hide the latency of an addition.
__m256 dot_piece(const float* w, const float* x, size_t n) {
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j)
      sum[j] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + 8 * j), _mm256_loadu_ps(x + i + 8 * j), sum[j]);
  }
  for (; i < n; i += 8) sum[0] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i), _mm256_loadu_ps(x + i), sum[0]);
  return _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3]));
}

}  // namespace

void dot_any_few(const DotArgs& a) {
  alignas(32) float weight[kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size;
  for (size_t row = 0; row < a.rows; ++row) {
    __m256 sum[kMaxColumns];
    float rest[kMaxColumns] = {};
    for (size_t i = 0; i < a.m; ++i) sum[i] = _mm256_setzero_ps();
    for (size_t k = 0; k < a.k; k += piece) {
      const size_t n = a.k - k < piece ? a.k - k : piece, eights = n / 8 * 8;
      decode_weights(a, row, k, n, 0, weight);
      for (size_t i = 0; i < a.m; ++i) {
        const float* x = a.x[i].f32 + k;
        sum[i] = _mm256_add_ps(sum[i], dot_piece(weight, x, eights));
        for (size_t j = eights; j < n; ++j) rest[i] = __builtin_fmaf(weight[j], x[j], rest[i]);
      }
    }
    for (size_t i = 0; i < a.m; ++i) a.y[i * a.y_stride + row] = total(sum[i]) + rest[i];
  }
}

}  // namespace kette::kernels::avx2
