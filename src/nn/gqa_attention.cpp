#include "nn/gqa_attention.h"

#include <array>
#include <cmath>
#include <cstring>

namespace kette::nn {

void GqaAttention::add(Step& step, const Tensor& normed, const Batch& batch, size_t layer, const Tensor& x) const {
  const Arena::Mark mark(step.arena);
  const Tensor q = step.arena.tensor(x.rows, num_heads * head_dim);
  const Tensor k = step.arena.tensor(x.rows, num_kv_heads * head_dim);
  const Tensor v = step.arena.tensor(x.rows, num_kv_heads * head_dim);
  multiply(step, std::array{Product{&q_proj, normed, q}, Product{&k_proj, normed, k}, Product{&v_proj, normed, v}});
  rotate_and_store(step, batch, layer, q, k, v);
  const Tensor heads = step.arena.tensor(x.rows, num_heads * head_dim);
  attend(step, batch, layer, q, heads);
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

// A task takes up to kAttendRows (token, query head) pairs of a sequence that share one key/value head; the tasks of all
// sequences are one stretch of work.
void GqaAttention::attend(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& out) const {
  const size_t group = num_heads / num_kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  struct Block {
    const Sequence* sequence;
    size_t first;  // of its pairs
  };
  size_t blocks = 0;
  for (const Sequence& s : batch.sequences) blocks += (s.rows * group + kAttendRows - 1) / kAttendRows;
  Block* block = step.arena.take<Block>(blocks);
  // The last rows see the most positions: handing them out first lets threads end together.
  for (size_t n = 0; const Sequence& s : batch.sequences)
    for (size_t i = (s.rows * group + kAttendRows - 1) / kAttendRows; i > 0; --i)
      block[n++] = {&s, (i - 1) * kAttendRows};
  step.executor.parallel_for(static_cast<uint32_t>(blocks * num_kv_heads), [&](uint32_t i, uint32_t worker) {
    const size_t kv_head = i % num_kv_heads;
    const Sequence& s = *block[i / num_kv_heads].sequence;
    const size_t first = block[i / num_kv_heads].first;
    WorkerScratch& scratch = step.worker(worker);
    kernels::AttendArgs args{};
    args.rows = std::min(kAttendRows, s.rows * group - first);
    const auto at = [&](const Tensor& t, size_t pair) {
      return t.row(s.first_row + pair / group) + (kv_head * group + pair % group) * head_dim;
    };
    for (size_t r = 0; r < args.rows; ++r) {
      std::memcpy(scratch.query.data() + r * head_dim, at(q, first + r), head_dim * sizeof(float));
      scratch.visible[r] = static_cast<uint32_t>(s.first_position + (first + r) / group + 1);
    }
    args.q = scratch.query.data();
    args.q_stride = head_dim;
    args.visible = scratch.visible;
    args.pages = s.kv->pages();
    args.key_at = s.kv->key_at(layer, kv_head);
    args.value_at = s.kv->value_at(layer, kv_head);
    args.kv_type = s.kv->type();
    args.key_stride = args.value_stride = head_dim;
    args.key_dim = args.value_dim = head_dim;
    args.scale = scale;
    args.out = scratch.out.data();
    args.out_stride = head_dim;
    args.scratch = scratch.attend.data();
    step.vector().attend(args);
    for (size_t r = 0; r < args.rows; ++r)
      std::memcpy(at(out, first + r), scratch.out.data() + r * head_dim, head_dim * sizeof(float));
  });
}

}  // namespace kette::nn
