// Softmax attention, one position after the other, with a running maximum.
#include <math.h>

#include "base/float_types.h"
#include "kernels/ref/vector.h"

namespace kette::kernels::ref {
namespace {

float element(const std::byte* data, KvType type, size_t index) {
  if (type == KvType::kF32) return reinterpret_cast<const float*>(data)[index];
  const uint16_t narrow = reinterpret_cast<const uint16_t*>(data)[index];
  return type == KvType::kF16 ? f16_to_float(narrow) : bf16_to_float(narrow);
}

}  // namespace

void attend(const AttendArgs& a) {
  for (size_t row = 0; row < a.rows; ++row) {
    const float* q = a.q + row * a.q_stride;
    float* out = a.out + row * a.out_stride;
    for (size_t d = 0; d < a.value_dim; ++d) out[d] = 0;
    float largest = -INFINITY, sum = 0;
    for (size_t t = 0; t < a.visible[row]; ++t) {
      const std::byte* page = a.pages[t / KETTE_KV_PAGE];
      const size_t in_page = t % KETTE_KV_PAGE;
      const std::byte *key = page + a.key_at, *value = page + a.value_at;
      float score = 0;
      for (size_t d = 0; d < a.key_dim; ++d) score += q[d] * element(key, a.kv_type, in_page * a.key_stride + d);
      score *= a.scale;
      if (score > largest) {
        const float shrink = expf(largest - score);
        sum *= shrink;
        for (size_t d = 0; d < a.value_dim; ++d) out[d] *= shrink;
        largest = score;
      }
      const float weight = expf(score - largest);
      sum += weight;
      for (size_t d = 0; d < a.value_dim; ++d)
        out[d] += weight * element(value, a.kv_type, in_page * a.value_stride + d);
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
