#include "nn/gqa_attention.h"

#include <array>
#include <cmath>
#include <cstring>

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
  for (const Sequence& s : batch.sequences) {
    step.parallel_rows(s.rows, 4, [&](size_t first, size_t last) {
      for (size_t i = s.first_row + first; i < s.first_row + last; ++i) {
        const float* cos = batch.cos + i * half;
        const float* sin = batch.sin + i * half;
        for (size_t h = 0; h < num_heads; ++h) norm_and_rotate(q_norm, q.row(i) + h * head_dim, cos, sin);
        const size_t position = s.first_position + i - s.first_row;
        for (size_t h = 0; h < num_kv_heads; ++h) {
          norm_and_rotate(k_norm, k.row(i) + h * head_dim, cos, sin);
          store_row(step.vector(), s.kv->type(), k.row(i) + h * head_dim, head_dim, s.kv->key(layer, h, position));
          store_row(step.vector(), s.kv->type(), v.row(i) + h * head_dim, head_dim, s.kv->value(layer, h, position));
        }
      }
    });
  }
}

// A task takes up to kAttendRows (token, query head) pairs that share one key/value head.
void GqaAttention::attend(Step& step, const Batch& batch, size_t layer, const Tensor& q, const Tensor& out) const {
  const size_t group = num_heads / num_kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  for (const Sequence& s : batch.sequences) {
    const size_t pairs = s.rows * group;
    const size_t blocks = (pairs + kAttendRows - 1) / kAttendRows;
    if (step.profile != nullptr) {
      const size_t positions = s.first_position + s.rows, bytes = s.kv->shape().key_bytes(s.kv->type());
      const double seen = (static_cast<double>(s.first_position) + 0.5 * static_cast<double>(s.rows + 1)) *
                          static_cast<double>(s.rows * num_heads);
      step.profile->note(2.0 * static_cast<double>(num_kv_heads * positions * bytes),
                         4.0 * seen * static_cast<double>(head_dim));
    }
    // The last rows see the most positions: handing them out first lets threads end together.
    step.executor.parallel_for(static_cast<uint32_t>(blocks * num_kv_heads), [&](uint32_t i, uint32_t worker) {
      const size_t kv_head = i % num_kv_heads;
      const size_t block = blocks - 1 - i / num_kv_heads;
      const size_t first = block * kAttendRows;
      WorkerScratch& scratch = step.worker(worker);
      kernels::AttendArgs args{};
      args.rows = std::min(kAttendRows, pairs - first);
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
}

}  // namespace kette::nn
