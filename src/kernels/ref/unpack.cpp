// Panels of any format as plain loops: what filling one means.
#include <algorithm>

#include "base/float_types.h"
#include "kernels/decode_weights.h"

namespace kette::kernels::ref {
namespace {

constexpr size_t kPiece = 256;  // numbers decoded at a time

// put(row, k, number) for all that the panel holds.
template <class Put>
void fill(const UnpackArgs& a, const Put& put) {
  float numbers[kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size, columns = (a.rows + 15) / 16 * 16;
  for (size_t row = 0; row < columns; ++row) {
    const size_t stored = row < a.rows ? a.n : 0;
    for (size_t k = 0; k < stored; k += piece) {
      const size_t n = std::min(piece, stored - k);
      decode_weights(a, row, k, n, a.first_column, numbers);
      for (size_t i = 0; i < n; ++i) put(row, k + i, numbers[i]);
    }
    for (size_t k = stored; k < a.depth; ++k) put(row, k, 0.0f);
  }
}

}  // namespace

void unpack_any_f32(const UnpackArgs& a) {
  float* panel = static_cast<float*>(a.panel);
  fill(a, [&](size_t row, size_t k, float number) { panel[k * KETTE_PANEL_WIDTH + row] = number; });
}

void unpack_any_bf16(const UnpackArgs& a) {
  uint16_t* panel = static_cast<uint16_t*>(a.panel);
  fill(a, [&](size_t row, size_t k, float number) {
    panel[(k / 2 * KETTE_PANEL_WIDTH + row) * 2 + k % 2] = float_to_bf16(number);
  });
}

}  // namespace kette::kernels::ref
