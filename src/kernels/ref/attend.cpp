// Softmax attention, one position after the other, with a running maximum.
#include <math.h>

#include "kernels/kernel_table.h"

namespace kette::kernels::ref {
namespace {

// f(d, numbers, n) of the first `dim` numbers of a row in order, some at a time.
template <class F>
void each_piece(const AttendArgs& a, const std::byte* row, size_t dim, F&& f) {
  const size_t most = KETTE_KV_BLOCK / a.block_size * a.block_size;
  float numbers[KETTE_KV_BLOCK];
  for (size_t d = 0; d < dim; d += most) {
    const size_t n = dim - d < most ? dim - d : most;
    a.decode(row + d / a.block_size * a.block_bytes, numbers, (n + a.block_size - 1) / a.block_size * a.block_size);
    f(d, numbers, n);
  }
}

}  // namespace

void attend_f32(const AttendArgs& a) {
  for (size_t row = 0; row < a.rows; ++row) {
    const float* q = a.q + row * a.q_stride;
    float* out = a.out + row * a.out_stride;
    for (size_t d = 0; d < a.value_dim; ++d) out[d] = 0;
    float largest = -INFINITY, sum = 0;
    for (size_t t = 0; t < a.visible[row]; ++t) {
      const std::byte* page = a.pages[t / KETTE_KV_PAGE];
      const size_t in_page = t % KETTE_KV_PAGE;
      float score = 0;
      each_piece(a, page + a.key_at + in_page * a.key_stride, a.key_dim, [&](size_t d, const float* key, size_t n) {
        for (size_t i = 0; i < n; ++i) score += q[d + i] * key[i];
      });
      score *= a.scale;
      if (score > largest) {
        const float shrink = expf(largest - score);
        sum *= shrink;
        for (size_t d = 0; d < a.value_dim; ++d) out[d] *= shrink;
        largest = score;
      }
      const float weight = expf(score - largest);
      sum += weight;
      each_piece(a, page + a.value_at + in_page * a.value_stride, a.value_dim,
                 [&](size_t d, const float* value, size_t n) {
                   for (size_t i = 0; i < n; ++i) out[d + i] += weight * value[i];
                 });
    }
    if (a.largest != nullptr) {
      a.largest[row] = largest;
      a.sum[row] = sum;
      continue;
    }
    for (size_t d = 0; d < a.value_dim; ++d) out[d] /= sum;
  }
}

}  // namespace kette::kernels::ref
