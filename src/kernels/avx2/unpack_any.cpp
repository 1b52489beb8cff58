// Panels of any format: eight rows are decoded to floats in small pieces and transposed.
#include "kernels/avx2/transpose.h"
#include "kernels/decode_weights.h"

namespace kette::kernels::avx2 {
namespace {

constexpr size_t kRows = 8, kPiece = 256, kWidth = KETTE_PANEL_WIDTH;

// rows [8][kPiece] at numbers [0, n) -> panel lines [n][8 of kWidth]
void pack(const float* rows, size_t n, float* panel) {
  for (size_t k = 0; k < n; k += 8) {
    const size_t lines = n - k < 8 ? n - k : 8;
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t row = 0; row < 8; ++row) v[row] = _mm256_castps_si256(_mm256_load_ps(rows + row * kPiece + k));
    transpose(v);
    for (size_t i = 0; i < lines; ++i) _mm256_store_ps(panel + (k + i) * kWidth, _mm256_castsi256_ps(v[i]));
  }
}

}  // namespace

void unpack_any_f32(const UnpackArgs& a) {
  alignas(32) float numbers[kRows * kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size, columns = (a.rows + 15) / 16 * 16;
  for (size_t row = 0; row < columns; row += kRows) {
    for (size_t k = 0; k < a.depth; k += piece) {
      const size_t n = a.depth - k < piece ? a.depth - k : piece, stored = k < a.n ? a.n - k : 0;
      for (size_t r = 0; r < kRows; ++r) {
        float* out = numbers + r * kPiece;
        const size_t some = row + r >= a.rows ? 0 : stored < n ? stored : n;
        if (some != 0) decode_weights(a, row + r, k, some, a.first_column, out);
        memset(out + some, 0, (n - some) * sizeof(float));
      }
      pack(numbers, n, static_cast<float*>(a.panel) + k * kWidth + row);
    }
  }
}

}  // namespace kette::kernels::avx2
