#include "nn/gqa_attention.h"

#include <array>
#include <cmath>

#include "nn/span_attend.h"

namespace kette::nn {

void GqaAttention::add(Step& step, const Tensor& normed, const Batch& batch, size_t layer, const Tensor& x) const {
  const Arena::Mark mark(step.arena);
  Phase phase(step.profile, "attention projections");
  const Tensor q = step.arena.tensor(x.rows, num_heads * head_dim);
  const Tensor k = step.arena.tensor(x.rows, num_kv_heads * head_dim);
  const Tensor v = step.arena.tensor(x.rows, num_kv_heads * head_dim);
  multiply(step, std::array{Product{&q_proj, normed, q}, Product{&k_proj, normed, k}, Product{&v_proj, normed, v}});
  phase.next("rotate and store");
  rotate_and_store(step, batch, layer, q, k, v);
  phase.next("attend");
  const Tensor heads = step.arena.tensor(x.rows, num_heads * head_dim);
  attend(step, batch, layer, q, heads);
  phase.next("output projection");
  const Tensor y = step.arena.tensor(x.rows, x.cols);
  multiply(step, std::array{Product{&o_proj, heads, y}});
  add_rows(step, y, x);
}

void GqaAttention::rotate_and_store(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& k,
                                    const Tensor& v) const {
  const auto rotate = rope_interleaved ? step.vector().rotate_interleaved : step.vector().rotate_half;
  const size_t half = head_dim / 2;
  const auto norm_and_rotate = [&](const std::optional<RmsNorm>& norm, float* head, const float* cos,
                                   const float* sin) {
    if (norm) step.vector().rms_norm(head, norm->weight.data(), norm->eps, head_dim, head);
    rotate(head, cos, sin, half);
  };
  step.parallel_rows(q.rows, 4, [&](size_t first, size_t last) {
    batch.each_row(first, last, [&](const Sequence& s, size_t i) {
      const float* cos = batch.cos + i * half;
      const float* sin = batch.sin + i * half;
      for (size_t h = 0; h < num_heads; ++h) norm_and_rotate(q_norm, q.row(i) + h * head_dim, cos, sin);
      const size_t position = s.first_position + i - s.first_row;
      for (size_t h = 0; h < num_kv_heads; ++h) {
        norm_and_rotate(k_norm, k.row(i) + h * head_dim, cos, sin);
        store_row(step.vector(), s.kv->type(), k.row(i) + h * head_dim, head_dim, s.kv->key(layer, h, position));
        store_row(step.vector(), s.kv->type(), v.row(i) + h * head_dim, head_dim, s.kv->value(layer, h, position));
      }
    });
  });
}

void GqaAttention::attend(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& out) const {
  auto* sequences = step.arena.take<SpanAttend>(batch.sequences.size());
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const Sequence& s = batch.sequences[i];
    sequences[i] = {.kv = s.kv,
                    .layer = layer,
                    .first_position = s.first_position,
                    .tokens = s.rows,
                    .group = num_heads / num_kv_heads,
                    .value_dim = head_dim,
                    .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                    .q = q.row(s.first_row),
                    .q_stride = q.stride,
                    .out = out.row(s.first_row),
                    .out_stride = out.stride};
  }
  attend_spans(step, {sequences, batch.sequences.size()});
}

}  // namespace kette::nn
