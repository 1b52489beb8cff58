#include "nn/span_attend.h"

#include <cmath>
#include <cstring>

#include "nn/elements.h"
#include "nn/linear.h"

namespace kette::nn {
namespace {

constexpr size_t kLeastRows = 8;  // of a task

static_assert(kSpan % KETTE_KV_PAGE == 0);

size_t span_count(size_t positions) { return (positions + kSpan - 1) / kSpan; }

Partial at(const Partial& p, size_t row, size_t dim) { return {p.out + row * dim, p.largest + row, p.sum + row}; }

Partial take_partial(Arena& arena, size_t rows, size_t dim) {
  return {arena.take<float>(rows * dim), arena.take<float>(rows), arena.take<float>(rows)};
}

// How one sequence is cut into tasks. A row is a token's query head; each key/value head has tokens * group of them.
struct Cut {
  SpanAttend a;
  kernels::Attend attend;
  size_t heads, key_dim, rows, spans;
  size_t block, blocks;  // rows of a task, tasks that a head's rows make
  bool share;            // a task is one span of its rows, not all
  size_t tasks;
  Partial* parts;  // of each span, [heads * rows]: where they are shared out

  size_t visible(size_t row) const { return a.first_position + row / a.group + 1; }
  // Rows to join in one piece of work: twice 16,384 numbers are worth handing out and a stretch more.
  size_t joined() const { return std::max<size_t>(32768 / (spans * a.value_dim), 1); }
  float* out(size_t head, size_t row) const {
    return a.out + row / a.group * a.out_stride + (head * a.group + row % a.group) * a.value_dim;
  }
  const float* q(size_t head, size_t row) const {
    return a.q + row / a.group * a.q_stride + (head * a.group + row % a.group) * key_dim;
  }
};

// Many rows are rounded where the mode lets them. Whether a token's are must not depend on how many tokens come, if they are
// few: so it is all of them where one token's heads are many, or else none.
kernels::Attend choose(const Step& step, const SpanAttend& a) {
  const bool many = a.group > kLeastRows || a.tokens > kFewRows;
  return many ? step.attend(a.kv->type()) : step.kernels.attend;
}

Cut cut(Step& step, const SpanAttend& a, size_t sequences) {
  const size_t wanted = (2 * step.executor.width() + sequences - 1) / sequences;  // tasks
  Cut c{};
  c.a = a;
  c.attend = choose(step, a);
  c.heads = a.kv->shape().heads;
  c.key_dim = a.kv->shape().key_dim;
  c.rows = a.tokens * a.group;
  c.spans = span_count(a.first_position + a.tokens);
  // Few rows over a long context: tasks take single spans, and what they find is merged behind them.
  const size_t whole = c.heads * ((c.rows + kLeastRows - 1) / kLeastRows);
  const bool even = c.rows <= kLeastRows && whole % step.executor.width() == 0;
  const size_t partial_bytes = c.spans * c.heads * c.rows * (a.value_dim + 2) * sizeof(float);
  c.share = c.spans > 1 && whole < wanted && !even && partial_bytes <= kMostPartialBytes / sequences;
  const size_t pieces = c.heads * c.rows * (c.share ? c.spans : 1);
  c.block = std::clamp((pieces / wanted + kLeastRows - 1) / kLeastRows * kLeastRows, kLeastRows, kSpanTaskRows);
  c.blocks = (c.rows + c.block - 1) / c.block;
  c.tasks = c.heads * c.blocks * (c.share ? c.spans : 1);
  if (c.share) {
    c.parts = step.arena.take<Partial>(c.spans);
    for (size_t i = 0; i < c.spans; ++i) c.parts[i] = take_partial(step.arena, c.heads * c.rows, a.value_dim);
  }
  return c;
}

// One thread's scratch for up to kSpanTaskRows rows of any of the sequences.
struct Worker {
  float *attend, *query;
  Partial whole, part;
  uint32_t* visible;
};

class SpanTask {
 public:
  SpanTask(Step& step, std::span<const Cut> cuts)
      : step_(step), workers_(step.arena.take<Worker>(step.executor.width())) {
    size_t key_dim = 0, value_dim = 0, rows = 0;
    for (const Cut& c : cuts) {
      key_dim = std::max(key_dim, c.key_dim);
      value_dim = std::max(value_dim, c.a.value_dim);
      rows = std::max(rows, std::min(c.block, c.rows));
    }
    for (uint32_t i = 0; i < step.executor.width(); ++i)
      workers_[i] = {step.arena.take<float>(KETTE_ATTEND_SCRATCH(key_dim, value_dim, rows)),
                     step.arena.take<float>(rows * key_dim), take_partial(step.arena, rows, value_dim),
                     take_partial(step.arena, rows, value_dim), step.arena.take<uint32_t>(rows)};
  }

  void run(const Cut& c, size_t task, uint32_t worker_index) const {
    Worker& worker = workers_[worker_index];
    const size_t head = task % c.heads, piece = task / c.heads;
    // The last rows see the most positions: handing them out first lets threads end together.
    const size_t first = (c.blocks - 1 - piece % c.blocks) * c.block, n = std::min(c.block, c.rows - first);
    const float* q = queries(c, head, first, n, worker);
    if (c.share) {
      const size_t index = piece / c.blocks;
      return span(c, head, q, first, n, index, at(c.parts[index], head * c.rows + first, c.a.value_dim), worker);
    }
    const size_t dim = c.a.value_dim;
    span(c, head, q, first, n, 0, worker.whole, worker);
    for (size_t i = 1; i < span_count(c.visible(first + n - 1)); ++i) {
      span(c, head, q, first, n, i, worker.part, worker);
      for (size_t r = 0; r < n; ++r)
        if (worker.visible[r] > 0) merge(at(worker.part, r, dim), dim, at(worker.whole, r, dim));
    }
    for (size_t r = 0; r < n; ++r) give(at(worker.whole, r, dim), dim, c.out(head, first + r));
  }

  // A row whose spans went to different tasks; `index` counts through the heads.
  static void join(const Cut& c, size_t index) {
    const size_t dim = c.a.value_dim, row = index % c.rows;
    const Partial whole = at(c.parts[0], index, dim);
    for (size_t i = 1; i < span_count(c.visible(row)); ++i) merge(at(c.parts[i], index, dim), dim, whole);
    give(whole, dim, c.out(index / c.rows, row));
  }

 private:
  static void give(const Partial& row, size_t dim, float* out) {
    finish(row, dim);
    std::memcpy(out, row.out, dim * sizeof(float));
  }

  // Rows [first, first + n) one behind the other, where they lie if they lie so.
  static const float* queries(const Cut& c, size_t head, size_t first, size_t n, const Worker& worker) {
    const bool whole_rows = c.heads == 1 && c.a.q_stride == c.a.group * c.key_dim;
    if (whole_rows || first / c.a.group == (first + n - 1) / c.a.group) return c.q(head, first);
    for (size_t r = 0; r < n; ++r)
      std::memcpy(worker.query + r * c.key_dim, c.q(head, first + r), c.key_dim * sizeof(float));
    return worker.query;
  }

  void span(const Cut& c, size_t head, const float* q, size_t first, size_t n, size_t index, const Partial& out,
            Worker& worker) const {
    const size_t from = index * kSpan;
    for (size_t r = 0; r < n; ++r) {
      const size_t visible = c.visible(first + r);
      worker.visible[r] = static_cast<uint32_t>(visible <= from ? 0 : std::min(visible - from, kSpan));
    }
    kernels::AttendArgs args{};
    c.a.kv->describe(c.a.layer, head, args);
    args.pages += from / KETTE_KV_PAGE;
    args.more = !c.share && c.visible(first + n - 1) > from + kSpan;
    args.value_dim = c.a.value_dim;
    args.q = q;
    args.q_stride = c.key_dim;
    args.visible = worker.visible;
    args.rows = n;
    args.scale = c.a.scale;
    args.out = out.out;
    args.out_stride = c.a.value_dim;
    args.scratch = worker.attend;
    args.largest = out.largest;
    args.sum = out.sum;
    c.attend(args);
  }

  Step& step_;
  Worker* workers_;
};

// f(cut, index, worker) for every index below count(cut) of every cut.
template <class Count, class F>
void each(Step& step, std::span<const Cut> cuts, const Count& count, const F& f) {
  size_t all = 0;
  for (const Cut& c : cuts) all += count(c);
  step.executor.parallel_for(static_cast<uint32_t>(all), [&](uint32_t i, uint32_t worker) {
    size_t index = i, at = 0;
    for (; index >= count(cuts[at]); ++at) index -= count(cuts[at]);
    f(cuts[at], index, worker);
  });
}

// The bytes of the cache that are read, once each, and the operations.
void note(Step& step, std::span<const Cut> cuts) {
  if (step.profile == nullptr) return;
  double bytes = 0, ops = 0;
  for (const Cut& c : cuts) {
    const KvShape& shape = c.a.kv->shape();
    const KvType type = c.a.kv->type();
    bytes += static_cast<double>((c.a.first_position + c.a.tokens) * c.heads *
                                 (shape.key_bytes(type) + shape.value_bytes(type)));
    const double seen = static_cast<double>(c.a.first_position) + 0.5 * static_cast<double>(c.a.tokens + 1);
    ops += 2.0 * seen * static_cast<double>(c.heads * c.rows * (c.key_dim + c.a.value_dim));
  }
  step.profile->note(bytes, ops);
}

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

void attend_spans(Step& step, std::span<const SpanAttend> sequences) {
  const Arena::Mark mark(step.arena);
  Cut* all = step.arena.take<Cut>(sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) all[i] = cut(step, sequences[i], sequences.size());
  const std::span<const Cut> cuts(all, sequences.size());
  const SpanTask task(step, cuts);
  note(step, cuts);
  each(
      step, cuts, [](const Cut& c) { return c.tasks; },
      [&](const Cut& c, size_t index, uint32_t worker) { task.run(c, index, worker); });
  const auto pieces = [](const Cut& c) { return c.share ? (c.heads * c.rows + c.joined() - 1) / c.joined() : 0; };
  bool shared = false;
  for (const Cut& c : cuts) shared |= c.share;
  if (!shared) return;
  each(step, cuts, pieces, [&](const Cut& c, size_t index, uint32_t) {
    const size_t first = index * c.joined(), last = std::min(first + c.joined(), c.heads * c.rows);
    for (size_t i = first; i < last; ++i) SpanTask::join(c, i);
  });
}

}  // namespace kette::nn
