#include "nn/latent_attend.h"

#include <cmath>
#include <cstring>

namespace kette::nn {
namespace {

constexpr size_t kMostRows = 48;  // of a task: whole tiles of the kernels, and its sums fit in L2
constexpr size_t kLeastRows = 8;
constexpr size_t kMostPartialBytes = size_t{64} << 20;  // kept when the spans of a row go to different tasks

static_assert(kSpan % KETTE_KV_PAGE == 0);

size_t span_count(size_t positions) { return (positions + kSpan - 1) / kSpan; }

// One thread's scratch, cut from the step's arena: the large models' rows would make everyone's WorkerScratch large.
struct Worker {
  float* attend;
  Partial part;  // of `rows` rows
  uint32_t* visible;
};

// What tasks do, each with its thread's scratch.
class LatentTask {
 public:
  // For attends like this one, `rows` at a time.
  LatentTask(Step& step, const LatentAttend& like, size_t rows) : step_(step), value_dim_(like.value_dim) {
    for (uint32_t i = 0; i < step.executor.width(); ++i)
      workers_.push_back(
          {step.arena.take<float>(KETTE_ATTEND_SCRATCH(like.key_dim, like.value_dim, rows)),
           {step.arena.take<float>(rows * like.value_dim), step.arena.take<float>(rows), step.arena.take<float>(rows)},
           step.arena.take<uint32_t>(rows)});
  }

  // Rows [first, first + n) over one span.
  void span(const LatentAttend& a, size_t first, size_t n, size_t index, const Partial& out, Worker& worker) const {
    const size_t from = index * kSpan;
    for (size_t r = 0; r < n; ++r) {
      const size_t visible = a.visible[first + r];
      worker.visible[r] = static_cast<uint32_t>(visible <= from ? 0 : std::min(visible - from, kSpan));
    }
    kernels::AttendArgs args{};
    args.q = a.q + first * a.key_dim;
    args.q_stride = a.key_dim;
    args.visible = worker.visible;
    args.rows = n;
    args.pages = a.pages + from / KETTE_KV_PAGE;
    args.key_at = args.value_at = a.latents_at;
    args.key_stride = args.value_stride = a.key_dim;
    args.kv_type = a.type;
    args.key_dim = a.key_dim;
    args.value_dim = a.value_dim;
    args.scale = a.scale;
    args.out = out.out;
    args.out_stride = a.value_dim;
    args.scratch = worker.attend;
    args.largest = out.largest;
    args.sum = out.sum;
    step_.vector().attend(args);
  }

  // Rows [first, first + n) over all they see.
  void rows(const LatentAttend& a, size_t first, size_t n, const Partial& out, Worker& worker) const {
    span(a, first, n, 0, out, worker);
    for (size_t i = 1; i < span_count(a.visible[first + n - 1]); ++i) {
      span(a, first, n, i, worker.part, worker);
      for (size_t r = 0; r < n; ++r)
        if (worker.visible[r] > 0) merge(at(worker.part, r), value_dim_, at(out, r));
    }
    for (size_t r = 0; r < n; ++r) finish(at(out, r), value_dim_);
  }

  Partial at(const Partial& p, size_t row) const { return {p.out + row * value_dim_, p.largest + row, p.sum + row}; }
  Worker& worker(uint32_t i) { return workers_[i]; }

 private:
  Step& step_;
  size_t value_dim_;
  std::vector<Worker> workers_;
};

// How one attend is cut into tasks: blocks of rows, and where it is shared single spans of them.
struct Cut {
  const LatentAttend* attend;
  size_t spans, blocks;
  size_t end;      // of its tasks, among those of all
  Partial* parts;  // [spans] of all its rows; the first goes where the result will be
  bool shared;
};

}  // namespace

void merge(const Partial& from, size_t dim, const Partial& into) {
  const float largest = *from.largest > *into.largest ? *from.largest : *into.largest;
  const float keep = std::exp(*into.largest - largest), add = std::exp(*from.largest - largest);
  for (size_t d = 0; d < dim; ++d) into.out[d] = into.out[d] * keep + from.out[d] * add;
  *into.sum = *into.sum * keep + *from.sum * add;
  *into.largest = largest;
}

void finish(const Partial& row, size_t dim) {
  const float factor = 1.0f / *row.sum;
  for (size_t d = 0; d < dim; ++d) row.out[d] *= factor;
}

void attend_latents(Step& step, std::span<const LatentAttend> all) {
  const Arena::Mark mark(step.arena);
  const size_t width = step.executor.width();
  Cut* cuts = step.arena.take<Cut>(all.size());
  size_t pieces = 0, partial_bytes = 0, shared_rows = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const LatentAttend& a = all[i];
    const size_t spans = span_count(a.visible[a.rows - 1]);
    const size_t bytes = spans * a.rows * (a.value_dim + 2) * sizeof(float);
    // Few rows over a long context: tasks take single spans, and what they find is merged behind them.
    const bool shared = spans > 1 && a.rows < 2 * width * kLeastRows && partial_bytes + bytes <= kMostPartialBytes;
    cuts[i] = {&a, spans, 0, 0, step.arena.take<Partial>(spans), shared};
    pieces += a.rows * (shared ? spans : 1);
    partial_bytes += shared ? bytes : 0;
    shared_rows += shared ? a.rows : 0;
  }
  const size_t wanted = (pieces / (2 * width) + kLeastRows - 1) / kLeastRows * kLeastRows;
  const size_t block = std::clamp(wanted, kLeastRows, kMostRows);
  LatentTask task(step, all[0], block);
  size_t tasks = 0;
  for (Cut& cut : std::span(cuts, all.size())) {
    const LatentAttend& a = *cut.attend;
    cut.blocks = (a.rows + block - 1) / block;
    cut.end = tasks += cut.blocks * (cut.shared ? cut.spans : 1);
    for (size_t i = 0; i < (cut.shared ? cut.spans : 1); ++i)
      cut.parts[i] = {i == 0 ? a.out : step.arena.take<float>(a.rows * a.value_dim), step.arena.take<float>(a.rows),
                      step.arena.take<float>(a.rows)};
  }
  step.executor.parallel_for(static_cast<uint32_t>(tasks), [&](uint32_t i, uint32_t worker) {
    const Cut* cut = cuts;
    while (i >= cut->end) ++cut;
    const LatentAttend& a = *cut->attend;
    // Counted from the last, whose rows see the most positions: handing them out first lets threads end together.
    const size_t left = cut->end - 1 - i, span = left / cut->blocks, first = left % cut->blocks * block;
    const size_t n = std::min(block, a.rows - first);
    const Partial out = task.at(cut->parts[span], first);
    if (cut->shared)
      task.span(a, first, n, span, out, task.worker(worker));
    else
      task.rows(a, first, n, out, task.worker(worker));
  });
  step.parallel_rows(shared_rows, 4, [&](size_t first, size_t last) {
    size_t begin = 0;  // of an attend's rows among those that are merged
    for (const Cut& cut : std::span(cuts, all.size())) {
      if (!cut.shared) continue;
      const LatentAttend& a = *cut.attend;
      for (size_t r = std::max(first, begin); r < std::min(last, begin + a.rows); ++r) {
        const Partial out = task.at(cut.parts[0], r - begin);
        for (size_t i = 1; i < span_count(a.visible[r - begin]); ++i)
          merge(task.at(cut.parts[i], r - begin), a.value_dim, out);
        finish(out, a.value_dim);
      }
      begin += a.rows;
    }
  });
}

}  // namespace kette::nn
