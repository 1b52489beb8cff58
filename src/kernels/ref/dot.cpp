// Weights of any format, decoded to floats, times f32 activations, summed in double: what every dot kernel means.
#include "kernels/decode_weights.h"

namespace kette::kernels::ref {
void dot_any_few(const DotArgs& a) {
  constexpr size_t kPiece = 256, kMaxColumns = 16;
  float weight[kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size;
  for (size_t row = 0; row < a.rows; ++row) {
    double sum[kMaxColumns] = {};
    for (size_t k = 0; k < a.k; k += piece) {
      const size_t n = a.k - k < piece ? a.k - k : piece;
      decode_weights(a, row, k, n, 0, weight);
      for (size_t i = 0; i < a.m; ++i) {
        const float* x = a.x[i].f32 + k;
        for (size_t j = 0; j < n; ++j) sum[i] += static_cast<double>(weight[j]) * static_cast<double>(x[j]);
      }
    }
    for (size_t i = 0; i < a.m; ++i) a.y[i * a.y_stride + row] = static_cast<float>(sum[i]);
  }
}

}  // namespace kette::kernels::ref
