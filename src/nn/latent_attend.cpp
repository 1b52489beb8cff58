#include "nn/latent_attend.h"

#include <cmath>
#include <cstring>

#include "nn/elements.h"
#include "nn/kv_cache.h"

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

class LatentTask {
 public:
  LatentTask(Step& step, const LatentAttend& a, size_t rows)
      : step_(step), a_(a), workers_(step.arena.take<Worker>(step.executor.width())) {
    for (uint32_t i = 0; i < step.executor.width(); ++i)
      workers_[i] = {
          step.arena.take<float>(KETTE_ATTEND_SCRATCH(a.key_dim, a.value_dim, rows)),
          {step.arena.take<float>(rows * a.value_dim), step.arena.take<float>(rows), step.arena.take<float>(rows)},
          step.arena.take<uint32_t>(rows)};
  }

  // Rows [first, first + n) over one span.
  void span(size_t first, size_t n, size_t index, const Partial& out, Worker& worker) const {
    const size_t from = index * kSpan;
    for (size_t r = 0; r < n; ++r) {
      const size_t visible = a_.visible[first + r];
      worker.visible[r] = static_cast<uint32_t>(visible <= from ? 0 : std::min(visible - from, kSpan));
    }
    kernels::AttendArgs args{};
    args.q = a_.q + first * a_.key_dim;
    args.q_stride = a_.key_dim;
    args.visible = worker.visible;
    args.rows = n;
    args.pages = a_.pages + from / KETTE_KV_PAGE;
    args.key_at = args.value_at = a_.latents_at;
    args.key_stride = args.value_stride = a_.key_dim;
    args.kv_type = a_.type;
    args.key_dim = a_.key_dim;
    args.value_dim = a_.value_dim;
    args.scale = a_.scale;
    args.out = out.out;
    args.out_stride = a_.value_dim;
    args.scratch = worker.attend;
    args.largest = out.largest;
    args.sum = out.sum;
    step_.vector().attend(args);
  }

  // Rows [first, first + n) over all they see.
  void rows(size_t first, size_t n, const Partial& out, uint32_t worker_index) {
    Worker& worker = workers_[worker_index];
    span(first, n, 0, out, worker);
    for (size_t i = 1; i < span_count(a_.visible[first + n - 1]); ++i) {
      span(first, n, i, worker.part, worker);
      for (size_t r = 0; r < n; ++r)
        if (worker.visible[r] > 0) merge(at(worker.part, r), a_.value_dim, at(out, r));
    }
    for (size_t r = 0; r < n; ++r) finish(at(out, r), a_.value_dim);
  }

  Partial at(const Partial& p, size_t row) const { return {p.out + row * a_.value_dim, p.largest + row, p.sum + row}; }
  Worker& worker(uint32_t i) { return workers_[i]; }

 private:
  Step& step_;
  const LatentAttend& a_;
  Worker* const workers_;  // [width]
};

}  // namespace

void merge(const Partial& from, size_t dim, const Partial& into) {
  const float largest = *from.largest > *into.largest ? *from.largest : *into.largest;
  const float keep = std::exp(*into.largest - largest), add = std::exp(*from.largest - largest);
  for_elements(from.out, dim, into.out, [=](float x, float y) { return y * keep + x * add; });
  *into.sum = *into.sum * keep + *from.sum * add;
  *into.largest = largest;
}

void finish(const Partial& row, size_t dim) {
  const float factor = 1.0f / *row.sum;
  for_elements(row.out, dim, row.out, [=](float, float y) { return y * factor; });
}

void attend_latents(Step& step, const LatentAttend& a) {
  const Arena::Mark mark(step.arena);
  const size_t spans = span_count(a.visible[a.rows - 1]), width = step.executor.width();
  const size_t partial_bytes = spans * a.rows * (a.value_dim + 2) * sizeof(float);
  // Few rows over a long context: tasks take single spans, and what they find is merged behind them.
  const bool share = spans > 1 && a.rows < 2 * width * kLeastRows && partial_bytes <= kMostPartialBytes;
  const size_t pieces = a.rows * (share ? spans : 1);
  const size_t wanted = (pieces / (2 * width) + kLeastRows - 1) / kLeastRows * kLeastRows;
  const size_t block = std::clamp(wanted, kLeastRows, kMostRows);
  const size_t blocks = (a.rows + block - 1) / block;
  LatentTask task(step, a, block);
  if (step.profile != nullptr) {
    double seen = 0;
    for (size_t r = 0; r < a.rows; ++r) seen += a.visible[r];
    step.profile->note(static_cast<double>(a.visible[a.rows - 1] * a.key_dim * kv_element_bytes(a.type)),
                       2.0 * seen * static_cast<double>(a.key_dim + a.value_dim));
  }
  const auto rows_of = [&](size_t index) { return std::min(block, a.rows - index * block); };
  Partial out{a.out, step.arena.take<float>(a.rows), step.arena.take<float>(a.rows)};
  if (!share) {
    // The last rows see the most positions: handing them out first lets threads end together.
    step.executor.parallel_for(static_cast<uint32_t>(blocks), [&](uint32_t i, uint32_t worker) {
      const size_t index = blocks - 1 - i;
      task.rows(index * block, rows_of(index), task.at(out, index * block), worker);
    });
    return;
  }
  auto* parts = step.arena.take<Partial>(spans);  // the first goes where the result will be
  for (size_t i = 0; i < spans; ++i)
    parts[i] = i == 0 ? out
                      : Partial{step.arena.take<float>(a.rows * a.value_dim), step.arena.take<float>(a.rows),
                                step.arena.take<float>(a.rows)};
  step.executor.parallel_for(static_cast<uint32_t>(blocks * spans), [&](uint32_t i, uint32_t worker) {
    const size_t index = i % blocks, span = i / blocks;
    task.span(index * block, rows_of(index), span, task.at(parts[span], index * block), task.worker(worker));
  });
  // A piece of some 16,384 numbers is worth handing out.
  step.parallel_rows(a.rows, std::max<size_t>(16384 / (spans * a.value_dim), 1), [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) {
      for (size_t i = 1; i < span_count(a.visible[r]); ++i) merge(task.at(parts[i], r), a.value_dim, task.at(out, r));
      finish(task.at(out, r), a.value_dim);
    }
  });
}

}  // namespace kette::nn
