#include "nn/linear.h"

#include <algorithm>

#include "nn/adapters.h"

namespace kette::nn {
namespace {

using kernels::kPanelDepth;
using kernels::kPanelWidth;
using kernels::kWidePanels;
using kernels::PanelMultiply;
using kernels::PanelType;

constexpr size_t kInPlaceRows = 2;  // rows of x that dot kernels take 16 columns at once for; for more, 32
constexpr size_t kDotRows = 16;     // rows of x that one call of a dot kernel takes, unless it takes any number
constexpr size_t kPanelRows = 128;  // rows of x that meet all panels of a piece before the next do
constexpr size_t kNearRows = 64;    // up to so many meet a small panel while it is in the first level of cache

// One input of one or more products, in the forms that their kernels read.
struct Input {
  Tensor x;
  bool dot = false, quantize = false, bf16 = false, ints = false;  // which forms
  kernels::Activation* forms = nullptr;                            // [rows], for dot kernels
  int8_t* q = nullptr;                                             // [rows][cols], and what else quantizing gives
  float *scale = nullptr, *sum16 = nullptr;                        // [rows][cols / 32], [rows][cols / 16]
  uint16_t* narrowed = nullptr;           // [rows][stride()], paired() used, for bfloat16 panels
  kernels::IntNumbers* packed = nullptr;  // [rows][blocks()], for panels of integers

  size_t paired() const { return (x.cols + 1) / 2 * 2; }  // those hold pairs of columns
  // Rows a multiple of 4,096 bytes apart would fall into the same sets of the caches.
  size_t stride() const { return paired() + (paired() % 2048 == 0 ? 32 : 0); }
  size_t blocks() const { return (x.cols + KETTE_INT_BLOCK - 1) / KETTE_INT_BLOCK; }
  bool is_rounded() const { return quantize || bf16 || ints; }
};

// One product, and how it and its gate are taken.
struct Job {
  const Product* product;
  Input* input;
  bool dot;        // by the dot kernel, not by panels
  size_t at_once;  // rows of x that one call takes
  Additions added, added_to_gate;
};

// Exact sums are taken by the panels alone, deterministic ones by one dot kernel alone: one order for any number of rows.
bool by_dot(Mode mode, const Product& p) {
  if (mode != Mode::kFast) return mode == Mode::kDeterministic;
  return p.x.rows < std::min(p.linear->panel_from, p.gate == nullptr ? SIZE_MAX : p.gate->panel_from);
}

// The jobs of the products, and their distinct inputs: how many of those.
size_t plan(Step& step, std::span<const Product> products, Job* jobs, Input* inputs) {
  size_t n = 0;
  for (const Product& p : products) {
    size_t i = n;  // what is shared was mostly seen last
    while (i > 0 && (inputs[i - 1].x.data != p.x.data || inputs[i - 1].x.rows != p.x.rows)) --i;
    if (i == 0) inputs[n++] = {.x = p.x};
    Input& input = inputs[i == 0 ? n - 1 : i - 1];
    *jobs = {&p, &input, by_dot(step.mode, p), p.x.rows, {}, {}};
    for (const Linear* linear : {p.linear, p.gate}) {
      if (linear == nullptr) continue;
      if (!jobs->dot) {
        input.bf16 |= linear->panel->type() == PanelType::kBf16;
        input.ints |= linear->panel->type() == PanelType::kInts;
        continue;
      }
      const kernels::DotRow& row = *linear->dot;
      input.dot = true;
      input.quantize |= row.form == kernels::Form::kQ8;
      if (!row.many) jobs->at_once = kDotRows;
    }
    ++jobs;
  }
  return n;
}

void prepare_row(Step& step, const Input& input, size_t i) {
  const size_t cols = input.x.cols;
  if (input.quantize)
    step.vector().quantize(input.x.row(i), cols, input.q + i * cols, input.scale + i * (cols / 32),
                           input.sum16 + i * (cols / 16));
  if (input.ints) step.vector().to_int(input.x.row(i), cols, input.packed + i * input.blocks());
  if (!input.bf16) return;
  uint16_t* to = input.narrowed + i * input.stride();
  step.vector().to_bf16(input.x.row(i), cols, to);
  if (cols % 2 != 0) to[cols] = 0;
}

void prepare(Step& step, std::span<Input> inputs) {
  const Phase phase(step.profile, "round inputs");
  size_t rows = 0, numbers = 0;
  for (Input& input : inputs) {
    const Tensor& x = input.x;
    if (input.quantize) {
      input.q = step.arena.take<int8_t>(x.rows * x.cols);
      input.scale = step.arena.take<float>(x.rows * x.cols / 32);
      input.sum16 = step.arena.take<float>(x.rows * x.cols / 16);
    }
    if (input.dot) {
      input.forms = step.arena.take<kernels::Activation>(x.rows);
      for (size_t i = 0; i < x.rows; ++i) {
        input.forms[i] = {x.row(i), nullptr, nullptr, nullptr};
        if (!input.quantize) continue;
        input.forms[i].q = input.q + i * x.cols;
        input.forms[i].scale = input.scale + i * (x.cols / 32);
        input.forms[i].sum16 = input.sum16 + i * (x.cols / 16);
      }
    }
    if (input.bf16) input.narrowed = step.arena.take<uint16_t>(x.rows * input.stride());
    if (input.ints) input.packed = step.arena.take<kernels::IntNumbers>(x.rows * input.blocks());
    if (!input.is_rounded()) continue;
    rows += x.rows;
    numbers += x.rows * x.cols;
  }
  if (rows == 0) return;
  // A piece of some 16,384 numbers is worth handing out.
  step.parallel_rows(rows, std::max<size_t>(16384 * rows / numbers, 1), [&](size_t first, size_t last) {
    size_t begin = 0;  // of an input's rows among all that are prepared
    for (const Input& input : inputs) {
      if (!input.is_rounded()) continue;
      const size_t end = begin + input.x.rows;
      for (size_t i = std::max(first, begin); i < std::min(last, end); ++i) prepare_row(step, input, i - begin);
      begin = end;
    }
  });
}

void add_bias(Step& step, const Linear& linear, size_t first, const Tensor& y) {
  if (linear.bias.empty()) return;
  for (size_t i = 0; i < y.rows; ++i) step.vector().add(linear.bias.data() + first, y.cols, y.row(i));
}

// Columns [first, first + y.cols) of the result's rows [row, row + y.rows) -> y.
void multiply_by_dot(const Linear& linear, const Input& input, size_t row, size_t first, const Tensor& y) {
  kernels::DotArgs args = linear.weight.dot_args(first, y.cols);
  args.x = input.forms + row;
  args.m = y.rows;
  args.y = y.data;
  args.y_stride = y.stride;
  linear.dot->run(args);
}

// Columns [first, first + y.cols) of the result -> y: at most kPanelWidth times most_panels. The rows of x come from
// farther away than a panel does, so a few of them meet all of the columns' panels before others come. Where they are few
// altogether, each panel is a small one instead, and the next one's weights are asked for while it is multiplied by.
Status multiply_by_panels(const Linear& linear, const Input& input, size_t first, const Tensor& y,
                          WorkerScratch& scratch) {
  PanelMultiply& panel = *linear.panel;
  const PanelType type = panel.type();
  const size_t columns = type == PanelType::kBf16 ? input.paired() : input.x.cols;
  const bool near = type == PanelType::kInts && y.rows <= kNearRows;
  const size_t depth = near ? KETTE_INT_BLOCK : kPanelDepth, width = near ? kPanelWidth : y.cols;
  const auto panel_at = [&](size_t column) {
    return scratch.panel.data() + column / kPanelWidth * kernels::panel_bytes(type);
  };
  kernels::PanelArgs args{};
  const std::byte* x = nullptr;
  switch (type) {
    case PanelType::kF32:
      x = reinterpret_cast<const std::byte*>(input.x.data);
      args.a_stride = kernels::row_bytes(type, input.x.stride);
      break;
    case PanelType::kBf16:
      x = reinterpret_cast<const std::byte*>(input.narrowed);
      args.a_stride = kernels::row_bytes(type, input.stride());
      break;
    case PanelType::kInts:
      x = reinterpret_cast<const std::byte*>(input.packed);
      args.a_stride = kernels::row_bytes(type, input.blocks() * KETTE_INT_BLOCK);
  }
  args.c_stride = y.stride;
  args.scratch = scratch.multiply.data();
  const auto weights_at = [&](size_t column, size_t k0) {
    kernels::UnpackArgs weights = linear.weight.unpack_args(first + column, std::min(kPanelWidth, y.cols - column), k0,
                                                            std::min(depth, input.x.cols - k0));
    weights.depth = std::min(depth, columns - k0);
    weights.panel = panel_at(column % width);
    return weights;
  };
  Status status;
  kernels::UnpackArgs next{};
  for (size_t column0 = 0; column0 < y.cols; column0 += width) {
    const size_t end = std::min(column0 + width, y.cols);
    for (size_t k0 = 0; k0 < columns && status.ok(); k0 += depth) {
      args.k = std::min(depth, columns - k0);
      args.add = k0 > 0;
      for (size_t column = column0; column < end; column += kPanelWidth) {
        kernels::UnpackArgs weights = weights_at(column, k0);
        weights.is_near = args.next != nullptr;
        linear.unpack->run(weights);
      }
      const size_t next_k0 = k0 + depth < columns ? k0 + depth : 0, next_column = next_k0 > 0 ? column0 : end;
      args.next = near && next_column < y.cols ? &next : nullptr;
      if (args.next != nullptr) next = weights_at(next_column, next_k0);
      for (size_t row = 0; row < y.rows && status.ok(); row += kPanelRows) {
        args.m = std::min(kPanelRows, y.rows - row);
        args.a = x + row * args.a_stride + kernels::row_bytes(type, k0);
        for (size_t column = column0; column < end && status.ok(); column += kPanelWidth) {
          args.panel = panel_at(column % width);
          args.width = std::min(kPanelWidth, y.cols - column);
          args.c = y.row(row) + column;
          status = panel.multiply(args);
        }
      }
    }
  }
  panel.leave_thread();
  return status;
}

// Columns [first, last) of a job's result.
void multiply_piece(Step& step, const Job& job, size_t first, size_t last, float* gate_scratch,
                    WorkerScratch& scratch) {
  const Product& p = *job.product;
  const size_t rows = p.x.rows, cols = last - first;
  const auto multiply = [&](const Linear& linear, const Additions& added, size_t row, const Tensor& y) {
    if (job.dot) {
      multiply_by_dot(linear, *job.input, row, first, y);
    } else if (Status s = multiply_by_panels(linear, *job.input, first, y, scratch); !s.ok()) {
      step.fail(std::move(s));
    }
    add_bias(step, linear, first, y);
    add_mapped(added, row, first, y);
  };
  for (size_t row = 0; row < rows; row += job.at_once) {
    const Tensor y{p.y.row(row) + first, std::min(job.at_once, rows - row), cols, p.y.stride};
    multiply(*p.linear, job.added, row, y);
    if (p.gate == nullptr) continue;
    const Tensor gate{gate_scratch, y.rows, cols, cols};
    multiply(*p.gate, job.added_to_gate, row, gate);
    for (size_t i = 0; i < y.rows; ++i) step.vector().silu_mul(gate.row(i), y.row(i), cols, y.row(i));
  }
}

// Columns of the result in one piece of work. Large pieces at first and small ones at the end, so that threads end
// together and yet few pieces are taken; none so small (a few microseconds) that it would not be worth it.
struct Cut {
  size_t least, most, left;

  size_t next(uint32_t width, size_t of_job) {
    const size_t columns = std::clamp(left / (width * 2), least, most);
    const size_t unit = columns < 32 ? 16 : std::max<size_t>(32, least);
    const size_t taken = std::min(columns / unit * unit, of_job);
    left -= taken;
    return taken;
  }
};

struct Piece {
  const Job* job;
  size_t first, last;  // columns
};

// f(piece) for every piece of all jobs, in order.
template <class F>
void cut_into_pieces(std::span<const Job> jobs, uint32_t width, F&& f) {
  Cut few{16, 256, 0}, some{32, 256, 0}, many{kPanelWidth / 2, kPanelWidth, 0}, panel{kPanelWidth, kPanelWidth, 0};
  Cut panels{kPanelWidth, kWidePanels * kPanelWidth, 0};
  const auto may_be_wide = [](const Linear* l) { return l == nullptr || kernels::most_panels(l->panel->type()) > 1; };
  const auto cut_of = [&](const Job& job) -> Cut& {
    if (job.dot) return job.product->x.rows <= kInPlaceRows ? few : job.at_once <= kDotRows ? some : many;
    return may_be_wide(job.product->linear) && may_be_wide(job.product->gate) ? panels : panel;
  };
  for (const Job& job : jobs) cut_of(job).left += job.product->linear->out();
  for (const Job& job : jobs) {
    const size_t out = job.product->linear->out();
    for (size_t first = 0, last = 0; first < out; first = last) {
      last = first + cut_of(job).next(width, out - first);
      f(Piece{&job, first, last});
    }
  }
}

void note_cost(Profile& profile, std::span<const Product> products) {
  double bytes = 0, ops = 0;
  for (const Product& p : products)
    for (const Linear* linear : {p.linear, p.gate}) {
      if (linear == nullptr) continue;
      const Weight& w = linear->weight;
      bytes += static_cast<double>(w.rows * w.format->row_bytes(w.cols));
      ops += 2.0 * static_cast<double>(w.rows * w.cols * p.x.rows);
    }
  profile.note(bytes, ops);
}

}  // namespace

void Weight::decode(size_t row, size_t from, size_t n, float* out) const {
  format->decode(this->row(row) + format->row_bytes(from), out, n);
  if (tile_scale == nullptr) return;
  const float* scale = tile_scale + (first_row + row) / kTile * tile_cols();
  for (size_t i = 0; i < n;) {
    const size_t tile = (from + i) / kTile, end = std::min(n, (tile + 1) * kTile - from);
    for (; i < end; ++i) out[i] *= scale[tile];
  }
}

kernels::DotArgs Weight::dot_args(size_t first, size_t n) const {
  kernels::DotArgs args{};
  args.weight = reinterpret_cast<const uint8_t*>(row(first));
  args.row_bytes = format->row_bytes(cols);
  args.rows = n;
  args.k = cols;
  args.decode = format->decode;
  args.block_size = format->block_size;
  args.block_bytes = format->block_bytes;
  args.tile_scale = tile_scale;
  args.tile_stride = tile_cols();
  args.first_row = first_row + first;
  return args;
}

kernels::UnpackArgs Weight::unpack_args(size_t first, size_t rows, size_t from, size_t n) const {
  kernels::UnpackArgs args{};
  args.weight = reinterpret_cast<const uint8_t*>(row(first) + format->row_bytes(from));
  args.row_bytes = format->row_bytes(cols);
  args.rows = rows;
  args.n = args.depth = n;
  args.decode = format->decode;
  args.block_size = format->block_size;
  args.block_bytes = format->block_bytes;
  args.tile_scale = tile_scale;
  args.tile_stride = tile_cols();
  args.first_row = first_row + first;
  args.first_column = from;
  return args;
}

Linear make_linear(const Weight& weight, std::vector<float> bias, const kernels::Kernels& kernels, Mode mode) {
  const std::string_view format = weight.format->name;
  kernels::PanelMultiply* panel = kernels.exact_panel.get();
  for (size_t i = kernels.fast_panels.size(); mode == Mode::kFast && i-- > 0;) {
    kernels::PanelMultiply* fast = kernels.fast_panels[i].get();
    // bfloat16 has fewer bits than float weights. Halves, as a rule, were bfloat16 once.
    const bool is_coarse = fast->type() == PanelType::kBf16 && format == "f32";
    if (!is_coarse && kernels.unpack(format, fast->type()) != nullptr) panel = fast;
  }
  const kernels::DotRow& dot = kernels.dot(format, mode == Mode::kExact);
  return {weight, std::move(bias),
          &dot,   kernels.unpack(format, panel->type()),
          panel,  dot.many ? std::max(kernels.panel_from, kFewRows + 1) : kFewRows + 1};
}

size_t few_rows(const kernels::Kernels& kernels) {
  return kernels.panel_from == SIZE_MAX ? kFewRows : std::max(kernels.panel_from - 1, kFewRows);
}

void multiply(Step& step, std::span<const Product> products) {
  const Arena::Mark mark(step.arena);
  Job* jobs = step.arena.take<Job>(products.size());
  Input* inputs = step.arena.take<Input>(products.size());
  prepare(step, {inputs, plan(step, products, jobs, inputs)});
  if (const Additions* added = map_inputs(step, products); added != nullptr)
    for (size_t j = 0; j < products.size(); ++j) {
      jobs[j].added = added[2 * j];
      jobs[j].added_to_gate = added[2 * j + 1];
    }

  const uint32_t width = step.executor.width();
  size_t pieces = 0, gate_numbers = 0;
  cut_into_pieces({jobs, products.size()}, width, [&](const Piece& p) {
    ++pieces;
    if (p.job->product->gate != nullptr) gate_numbers = std::max(gate_numbers, (p.last - p.first) * p.job->at_once);
  });
  Piece* piece = step.arena.take<Piece>(pieces);
  cut_into_pieces({jobs, products.size()}, width, [&, n = size_t{0}](const Piece& p) mutable { piece[n++] = p; });
  const Tensor gates = step.arena.tensor(width, (gate_numbers + 15) / 16 * 16);  // no shared lines
  if (step.profile != nullptr) note_cost(*step.profile, products);
  step.executor.parallel_for(static_cast<uint32_t>(pieces), [&](uint32_t i, uint32_t worker) {
    const auto [job, first, last] = piece[i];
    multiply_piece(step, *job, first, last, gates.row(worker), step.worker(worker));
  });
}

void add_rows(Step& step, const Tensor& x, const Tensor& y) {
  const Phase phase(step.profile, "add");
  step.parallel_rows(x.rows, 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) step.vector().add(x.row(i), x.cols, y.row(i));
  });
}

}  // namespace kette::nn
