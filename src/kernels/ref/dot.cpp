// Weights of any format, decoded to floats, times f32 activations, summed in double: what every dot kernel means.
#include "kernels/kernel_table.h"

namespace kette::kernels::ref {
namespace {

// The factors of a row's tiles, for weights [n] from column k on.
void scale_tiles(const DotArgs& a, size_t row, size_t k, size_t n, float* weight) {
  const float* scale = a.tile_scale + (a.first_row + row) / KETTE_TILE * a.tile_stride;
  for (size_t j = 0; j < n; ++j) weight[j] *= scale[(k + j) / KETTE_TILE];
}

}  // namespace

void dot_any_few(const DotArgs& a) {
  constexpr size_t kPiece = 256, kMaxColumns = 16;
  float weight[kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size;
  for (size_t row = 0; row < a.rows; ++row) {
    const uint8_t* blocks = a.weight + row * a.row_bytes;
    double sum[kMaxColumns] = {};
    for (size_t k = 0; k < a.k; k += piece) {
      const size_t n = a.k - k < piece ? a.k - k : piece;
      a.decode(reinterpret_cast<const std::byte*>(blocks), weight, n);
      if (a.tile_scale != nullptr) scale_tiles(a, row, k, n, weight);
      blocks += n / a.block_size * a.block_bytes;
      for (size_t i = 0; i < a.m; ++i) {
        const float* x = a.x[i].f32 + k;
        for (size_t j = 0; j < n; ++j) sum[i] += static_cast<double>(weight[j]) * static_cast<double>(x[j]);
      }
    }
    for (size_t i = 0; i < a.m; ++i) a.y[i * a.y_stride + row] = static_cast<float>(sum[i]);
  }
}

}  // namespace kette::kernels::ref
