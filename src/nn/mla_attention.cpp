#include "nn/mla_attention.h"

#include <array>
#include <cmath>
#include <cstring>

#include "nn/span_attend.h"

namespace kette::nn {
namespace {

// Expanding costs so much for each cached position, attending to latents so much more for each pair of a row and a
// position, and absorbing for each row. Measured (DeepSeek-V2's 16 heads, AVX2, contexts of 0 to 4,096), expanding is
// cheaper from rows * (positions + kRowCost) = kExpandRows * positions on.
constexpr size_t kExpandRows = 140, kRowCost = 256;
constexpr size_t kLeastExpandRows = 16;
static_assert(kExpandPositions % KETTE_KV_PAGE == 0);

}  // namespace

void MlaAttention::add(Step& step, const Tensor& normed, const Batch& batch, size_t layer, const Tensor& x) const {
  const Arena::Mark mark(step.arena);
  Phase phase(step.profile, "attention projections");
  const Tensor q = step.arena.tensor(x.rows, num_heads * head_dim());
  const Tensor latent = step.arena.tensor(x.rows, key_dim());
  if (query_latent) {
    const Tensor q_latent = step.arena.tensor(x.rows, query_latent->q_a_proj.out());
    multiply(step, std::array{Product{&query_latent->q_a_proj, normed, q_latent},
                              Product{&kv_a_proj_with_mqa, normed, latent}});
    query_latent->q_a_layernorm(step, q_latent, q_latent);
    multiply(step, std::array{Product{&q_proj, q_latent, q}});
  } else {
    multiply(step, std::array{Product{&q_proj, normed, q}, Product{&kv_a_proj_with_mqa, normed, latent}});
  }
  phase.next("rotate and store");
  rotate_and_store(step, batch, layer, q, latent);
  phase.next("attend");
  const Tensor heads = step.arena.tensor(x.rows, num_heads * v_head_dim);
  for (size_t i = 0, end = 0; i < batch.sequences.size(); i = end) {
    while (end < batch.sequences.size() && !expands(step, batch.sequences[end])) ++end;
    if (end > i)
      attend_absorbed(step, batch.sequences.subspan(i, end - i), layer, q, heads);
    else
      attend_expanded(step, batch.sequences[end++], layer, q, heads);
  }
  phase.next("output projection");
  const Tensor y = step.arena.tensor(x.rows, x.cols);
  multiply(step, std::array{Product{&o_proj, heads, y}});
  add_rows(step, y, x);
}

bool MlaAttention::expands(const Step& step, const Sequence& s) const {
  if (form != MlaForm::kChosen || k_expanded.empty()) return form == MlaForm::kExpanded;
  const size_t positions = s.first_position + s.rows;
  return step.mode == Mode::kFast && s.rows >= kLeastExpandRows &&
         s.rows * (positions + kRowCost) >= kExpandRows * positions;
}

// The latent is normed, the shared key and every head's rotary part are turned, latent and key are cached.
void MlaAttention::rotate_and_store(Step& step, const Batch& batch, size_t layer, const Tensor& q,
                                    const Tensor& latent) const {
  const auto rotate = rope_interleaved ? step.vector().rotate_interleaved : step.vector().rotate_half;
  const size_t half = qk_rope_head_dim / 2;
  step.parallel_rows(q.rows, 4, [&](size_t first, size_t last) {
    batch.each_row(first, last, [&](const Sequence& s, size_t i) {
      const float* cos = batch.cos + i * half;
      const float* sin = batch.sin + i * half;
      for (size_t h = 0; h < num_heads; ++h) rotate(q.row(i) + h * head_dim() + qk_nope_head_dim, cos, sin, half);
      float* row = latent.row(i);
      step.vector().rms_norm(row, kv_a_layernorm.weight.data(), kv_a_layernorm.eps, kv_lora_rank, row);
      rotate(row + kv_lora_rank, cos, sin, half);
      store_row(step.vector(), s.kv->type(), row, key_dim(), s.kv->key(layer, 0, s.first_position + i - s.first_row));
    });
  });
}

// Sequences that follow each other in the batch; every stretch of work is one over all of them.
void MlaAttention::attend_absorbed(Step& step, std::span<const Sequence> sequences, size_t layer, const Tensor& q,
                                   const Tensor& heads) const {
  const size_t stretch = std::max<size_t>(1, kAbsorbedPairs / num_heads);
  const size_t end = sequences.back().first_row + sequences.back().rows;
  for (size_t first = sequences.front().first_row; first < end; first += stretch) {
    const Arena::Mark mark(step.arena);
    Phase phase(step.profile, "queries to latents");
    const size_t rows = std::min(stretch, end - first), pairs = rows * num_heads;
    const Tensor part = q.slice(first, rows);
    const Tensor seeking = step.arena.tensor(pairs, key_dim());  // (row, head): [latent, rope]
    auto* products = step.arena.take<Product>(num_heads);
    for (size_t h = 0; h < num_heads; ++h)
      products[h] = {&k_absorbed[h],
                     {part.data + h * head_dim(), rows, qk_nope_head_dim, part.stride},
                     {seeking.row(h), rows, kv_lora_rank, num_heads * key_dim()}};
    multiply(step, {products, num_heads});
    for (size_t p = 0; p < pairs; ++p)
      std::memcpy(seeking.row(p) + kv_lora_rank,
                  part.row(p / num_heads) + p % num_heads * head_dim() + qk_nope_head_dim,
                  qk_rope_head_dim * sizeof(float));
    phase.next("attend");
    const Tensor found = step.arena.tensor(pairs, kv_lora_rank);
    auto* attends = step.arena.take<SpanAttend>(sequences.size());
    size_t n = 0;
    for (const Sequence& s : sequences) {
      const size_t from = std::max(first, s.first_row), to = std::min(first + rows, s.first_row + s.rows);
      if (from >= to) continue;
      attends[n++] = {.kv = s.kv,
                      .layer = layer,
                      .first_position = s.first_position + (from - s.first_row),
                      .tokens = to - from,
                      .group = num_heads,
                      .value_dim = kv_lora_rank,
                      .scale = softmax_scale,
                      .q = seeking.row((from - first) * num_heads),
                      .q_stride = num_heads * key_dim(),
                      .out = found.row((from - first) * num_heads),
                      .out_stride = num_heads * kv_lora_rank};
    }
    attend_spans(step, {attends, n});
    phase.next("latents to values");
    for (size_t h = 0; h < num_heads; ++h)
      products[h] = {&v_proj[h],
                     {found.row(h), rows, kv_lora_rank, num_heads * kv_lora_rank},
                     {heads.row(first) + h * v_head_dim, rows, v_head_dim, heads.stride}};
    multiply(step, {products, num_heads});
  }
}

// Keys and values of some heads at cached positions from `from` on, in float. latents: [positions, kv_lora_rank]. rows:
// [positions, head_count * (head_dim + v_head_dim)], a head's numbers being [nope, rope, value].
void MlaAttention::expand(Step& step, const Tensor& latents, const KvCache& kv, size_t layer, size_t from,
                          size_t first_head, size_t head_count, const Tensor& rows) const {
  const size_t width = head_dim() + v_head_dim;
  const Arena::Mark mark(step.arena);
  const Phase phase(step.profile, "expand keys and values");
  auto* products = step.arena.take<Product>(2 * head_count);
  for (size_t h = 0; h < head_count; ++h) {
    float* to = rows.data + h * width;
    products[2 * h] = {&k_expanded[first_head + h], latents, {to, rows.rows, qk_nope_head_dim, rows.stride}};
    products[2 * h + 1] = {&v_proj[first_head + h], latents, {to + head_dim(), rows.rows, v_head_dim, rows.stride}};
  }
  multiply(step, {products, 2 * head_count});
  step.parallel_rows(rows.rows, 16, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      float* key = rows.row(t) + qk_nope_head_dim;
      load_row(kv.type(), kv.key(layer, 0, from + t), kv_lora_rank, qk_rope_head_dim, key);
      for (size_t h = 1; h < head_count; ++h) std::memcpy(key + h * width, key, qk_rope_head_dim * sizeof(float));
    }
  });
}

void MlaAttention::attend_expanded(Step& step, const Sequence& s, size_t layer, const Tensor& q,
                                   const Tensor& heads) const {
  const Arena::Mark mark(step.arena);
  const size_t width = head_dim() + v_head_dim;
  const size_t group = std::min(kExpandHeads, num_heads), blocks = (s.rows + kExpandedTaskRows - 1) / kExpandedTaskRows;
  const Tensor latents = step.arena.tensor(kExpandPositions, kv_lora_rank);
  const Tensor expanded = step.arena.tensor(kExpandPositions, group * width);
  const std::byte* pages[kExpandPositions / KETTE_KV_PAGE];
  for (size_t i = 0; i < std::size(pages); ++i)
    pages[i] = reinterpret_cast<const std::byte*>(expanded.row(i * KETTE_KV_PAGE));
  auto* largest = step.arena.take<float>(num_heads * s.rows);
  auto* sum = step.arena.take<float>(num_heads * s.rows);
  // Of each thread: what one block of positions adds to a task's rows.
  auto* parts = step.arena.take<Partial>(step.executor.width());
  auto** scratch = step.arena.take<float*>(step.executor.width());
  for (uint32_t i = 0; i < step.executor.width(); ++i) {
    parts[i] = {step.arena.take<float>(kExpandedTaskRows * v_head_dim), step.arena.take<float>(kExpandedTaskRows),
                step.arena.take<float>(kExpandedTaskRows)};
    scratch[i] = step.arena.take<float>(KETTE_ATTEND_SCRATCH(head_dim(), v_head_dim, kExpandedTaskRows));
  }
  const size_t positions = s.first_position + s.rows;
  for (size_t from = 0; from < positions; from += kExpandPositions) {
    const size_t n = std::min(kExpandPositions, positions - from);
    step.parallel_rows(n, 16, [&](size_t first, size_t last) {
      for (size_t t = first; t < last; ++t)
        load_row(s.kv->type(), s.kv->key(layer, 0, from + t), 0, kv_lora_rank, latents.row(t));
    });
    for (size_t first_head = 0; first_head < num_heads; first_head += group) {
      const size_t head_count = std::min(group, num_heads - first_head);
      expand(step, latents.slice(0, n), *s.kv, layer, from, first_head, head_count, expanded.slice(0, n));
      step.executor.parallel_for(static_cast<uint32_t>(blocks * head_count), [&](uint32_t i, uint32_t worker) {
        const size_t h = i % head_count, first = (blocks - 1 - i / head_count) * kExpandedTaskRows;
        const size_t rows = std::min(kExpandedTaskRows, s.rows - first);
        uint32_t visible[kExpandedTaskRows];
        for (size_t r = 0; r < rows; ++r) {
          const size_t sees = s.first_position + first + r + 1;
          visible[r] = static_cast<uint32_t>(sees <= from ? 0 : std::min(sees - from, n));
        }
        const size_t at = (first_head + h) * s.rows + first;
        const auto out = [&](size_t r) {
          return Partial{heads.row(s.first_row + first + r) + (first_head + h) * v_head_dim, largest + at + r,
                         sum + at + r};
        };
        const Partial& part = parts[worker];
        kernels::AttendArgs args{};
        args.q = q.row(s.first_row + first) + (first_head + h) * head_dim();
        args.q_stride = q.stride;
        args.visible = visible;
        args.rows = rows;
        args.pages = pages;
        args.key_at = h * width * sizeof(float);
        args.value_at = args.key_at + head_dim() * sizeof(float);
        args.key_stride = args.value_stride = expanded.stride * sizeof(float);
        set_type(args, KvType::kF32);
        args.key_dim = head_dim();
        args.value_dim = v_head_dim;
        args.scale = softmax_scale;
        args.out = from == 0 ? out(0).out : part.out;
        args.out_stride = from == 0 ? heads.stride : v_head_dim;
        args.scratch = scratch[worker];
        args.largest = from == 0 ? out(0).largest : part.largest;
        args.sum = from == 0 ? out(0).sum : part.sum;
        step.attend(s.kv->type())(args);
        for (size_t r = 0; r < rows; ++r) {
          if (from > 0 && visible[r] > 0)
            merge({part.out + r * v_head_dim, part.largest + r, part.sum + r}, v_head_dim, out(r));
          if (from + n == positions) finish(out(r), v_head_dim);
        }
      });
    }
  }
}

}  // namespace kette::nn
