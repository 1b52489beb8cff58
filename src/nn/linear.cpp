#include "nn/linear.h"

#include <cstring>

namespace kette::nn {
namespace {

using kernels::kPanelDepth;
using kernels::kPanelWidth;
using kernels::PanelMultiply;
using kernels::PanelType;

constexpr size_t kDotRows = 16;  // rows of x that one call of a dot kernel takes

// The activation in the forms that the products' dot kernels read.
std::vector<kernels::Activation> prepare(Step& step, const Tensor& x, std::span<const Product> products) {
  std::vector<kernels::Activation> forms(x.rows);
  bool integer = false;
  for (const Product& p : products) integer |= p.linear->dot->form == kernels::Form::kQ8;
  for (size_t i = 0; i < x.rows; ++i) forms[i].f32 = x.row(i);
  if (!integer) return forms;
  auto* q = step.arena.take<int8_t>(x.rows * x.cols);
  auto* scale = step.arena.take<float>(x.rows * x.cols / 32);
  auto* sum16 = step.arena.take<float>(x.rows * x.cols / 16);
  step.parallel_rows(x.rows, 4, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      forms[i].q = q + i * x.cols;
      forms[i].scale = scale + i * (x.cols / 32);
      forms[i].sum16 = sum16 + i * (x.cols / 16);
      step.vector().quantize(x.row(i), x.cols, q + i * x.cols, scale + i * (x.cols / 32), sum16 + i * (x.cols / 16));
    }
  });
  return forms;
}

void add_bias(Step& step, const Product& p, size_t first, size_t last) {
  if (p.linear->bias.empty()) return;
  for (size_t i = 0; i < p.y.rows; ++i) step.vector().add(p.linear->bias.data() + first, last - first, p.y.row(i) + first);
}

// A stretch of one product's output columns.
struct Piece {
  const Product* product;
  size_t first, last;
};

// Cut the products into pieces of about `columns`, in order.
std::vector<Piece> cut(std::span<const Product> products, size_t columns) {
  std::vector<Piece> pieces;
  for (const Product& p : products)
    for (size_t first = 0; first < p.linear->out(); first += columns)
      pieces.push_back({&p, first, std::min(first + columns, p.linear->out())});
  return pieces;
}

void multiply_few(Step& step, const Tensor& x, std::span<const Product> products) {
  const std::vector<kernels::Activation> forms = prepare(step, x, products);
  size_t out = 0;
  for (const Product& p : products) out += p.linear->out();
  // Enough pieces that threads end together, each large enough (a few microseconds) to be worth taking.
  const size_t columns = std::clamp<size_t>(out / (step.executor.width() * 8) / 8 * 8, 16, 256);
  const std::vector<Piece> pieces = cut(products, columns);
  step.executor.parallel_for(static_cast<uint32_t>(pieces.size()), [&](uint32_t i, uint32_t) {
    const Piece& piece = pieces[i];
    const Linear& linear = *piece.product->linear;
    const Weight& w = linear.weight;
    kernels::DotArgs args{};
    args.weight = reinterpret_cast<const uint8_t*>(w.row(piece.first));
    args.row_bytes = w.format->row_bytes(w.cols);
    args.rows = piece.last - piece.first;
    args.k = w.cols;
    args.y_stride = piece.product->y.stride;
    args.decode = w.format->decode;
    args.block_size = w.format->block_size;
    args.block_bytes = w.format->block_bytes;
    for (size_t row = 0; row < x.rows; row += kDotRows) {
      args.x = forms.data() + row;
      args.m = std::min(kDotRows, x.rows - row);
      args.y = piece.product->y.row(row) + piece.first;
      linear.dot->run(args);
    }
    add_bias(step, *piece.product, piece.first, piece.last);
  });
}

// Decode weight rows [first, last) at columns [k0, k0 + n) into a panel; columns past the weight's last are zero.
void fill_panel(Step& step, const Weight& w, size_t first, size_t last, size_t k0, size_t n, PanelType type,
                WorkerScratch& scratch) {
  const size_t stored = std::min(n, w.cols - k0);
  for (size_t group = 0; group < kPanelWidth && first + group < last; group += 16) {
    for (size_t r = 0; r < 16; ++r) {
      float* row = scratch.rows.data() + r * kPanelDepth;
      if (first + group + r < last) {
        w.format->decode(w.row(first + group + r) + w.format->row_bytes(k0), row, stored);
        std::fill(row + stored, row + n, 0.0f);
      } else {
        std::fill(row, row + n, 0.0f);
      }
    }
    if (type == PanelType::kBf16)
      step.vector().pack_bf16(scratch.rows.data(), kPanelDepth, n,
                              reinterpret_cast<uint16_t*>(scratch.panel.data()) + group * 2, kPanelWidth);
    else
      step.vector().pack_f32(scratch.rows.data(), kPanelDepth, n, scratch.panel.data() + group, kPanelWidth);
  }
}

// Activation rows as bfloat16, padded to an even number of columns: [rows][padded].
const uint16_t* narrow(Step& step, const Tensor& x, size_t padded) {
  auto* out = step.arena.take<uint16_t>(x.rows * padded);
  step.parallel_rows(x.rows, 4, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      step.vector().to_bf16(x.row(i), x.cols, out + i * padded);
      if (padded > x.cols) out[i * padded + x.cols] = 0;
    }
  });
  return out;
}

void multiply_many(Step& step, const Tensor& x, std::span<const Product> products) {
  const size_t padded = (x.cols + 1) / 2 * 2;  // bf16 panels hold pairs of columns
  const uint16_t* narrowed = nullptr;
  for (const Product& p : products)
    if (p.linear->panel->type() == PanelType::kBf16 && narrowed == nullptr) narrowed = narrow(step, x, padded);
  const std::vector<Piece> pieces = cut(products, kPanelWidth);
  step.executor.parallel_for(static_cast<uint32_t>(pieces.size()), [&](uint32_t i, uint32_t worker) {
    const Piece& piece = pieces[i];
    const Weight& w = piece.product->linear->weight;
    PanelMultiply& panel = *piece.product->linear->panel;
    WorkerScratch& scratch = step.worker(worker);
    const bool bf16 = panel.type() == PanelType::kBf16;
    const size_t columns = bf16 ? padded : x.cols;
    kernels::PanelArgs args{};
    args.a_stride = bf16 ? padded : x.stride;
    args.m = x.rows;
    args.panel = scratch.panel.data();
    args.width = piece.last - piece.first;
    args.c = piece.product->y.data + piece.first;
    args.c_stride = piece.product->y.stride;
    args.scratch = scratch.multiply.data();
    for (size_t k0 = 0; k0 < columns; k0 += kPanelDepth) {
      args.k = std::min(kPanelDepth, columns - k0);
      fill_panel(step, w, piece.first, piece.last, k0, args.k, panel.type(), scratch);
      args.a = bf16 ? static_cast<const void*>(narrowed + k0) : static_cast<const void*>(x.data + k0);
      args.add = k0 > 0;
      if (Status status = panel.multiply(args); !status.ok()) return step.fail(std::move(status));
    }
    panel.leave_thread();
    add_bias(step, *piece.product, piece.first, piece.last);
  });
}

}  // namespace

Linear make_linear(const Weight& weight, std::vector<float> bias, const kernels::Kernels& kernels, Mode mode) {
  // bfloat16 has fewer bits than plain half and float weights: those are multiplied as float.
  const bool plain = weight.format->name == "f32" || weight.format->name == "f16";
  const bool narrow = mode == Mode::kFast && kernels.fast_panel != nullptr && !plain;
  return {weight, std::move(bias), &kernels.dot(weight.format->name, mode == Mode::kExact),
          narrow ? kernels.fast_panel.get() : kernels.exact_panel.get()};
}

void multiply(Step& step, const Tensor& x, std::span<const Product> products) {
  const Arena::Mark mark(step.arena);
  // Exact sums are taken by the panels alone, deterministic ones by the dot kernels alone: one order for any number
  // of rows.
  const bool few = step.mode == Mode::kDeterministic || (step.mode == Mode::kFast && x.rows <= kFewRows);
  few ? multiply_few(step, x, products) : multiply_many(step, x, products);
}

void add_rows(Step& step, const Tensor& x, const Tensor& y) {
  step.parallel_rows(x.rows, 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) step.vector().add(x.row(i), x.cols, y.row(i));
  });
}

}  // namespace kette::nn
