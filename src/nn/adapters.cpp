#include "nn/adapters.h"

namespace kette::nn {
namespace {

constexpr size_t kRows = 16;   // of x that a piece of work takes: what any dot kernel does
constexpr size_t kRanks = 16;  // of A

// Rows [row, row + rows) of x times rows [rank, rank + ranks) of A.
struct Piece {
  const Addition* addition;
  Tensor x;
  size_t row, rank;
};

size_t pieces_of(const Addition& a) { return (a.u.rows + kRows - 1) / kRows * ((a.u.cols + kRanks - 1) / kRanks); }

void run(const Piece& piece) {
  const auto& [addition, x, row, rank] = piece;
  const LowRank& low = *addition->low_rank;
  const Tensor& u = addition->u;
  const size_t rows = std::min(kRows, x.rows - row), ranks = std::min(kRanks, u.cols - rank);
  kernels::Activation forms[kRows];
  for (size_t i = 0; i < rows; ++i) forms[i] = {x.row(row + i), nullptr, nullptr, nullptr};
  kernels::DotArgs args = low.a.weight.dot_args(rank, ranks);
  args.x = forms;
  args.m = rows;
  args.y = u.row(row) + rank;
  args.y_stride = u.stride;
  low.a.dot->run(args);
  for (size_t i = 0; i < rows; ++i)
    for (size_t r = 0; r < ranks; ++r) u.row(row + i)[rank + r] *= low.scale;
}

// N outputs of one row, a number that compilers know: they take several at a time.
template <size_t N>
void add_columns(Additions additions, size_t row, size_t column, float* y) {
  float sum[N] = {};
  for (const auto& [low, u] : additions) {
    for (size_t r = 0; r < u.cols; ++r) {
      const float factor = u.row(row)[r];
      const float* b = low->b + r * low->out + column;
      for (size_t c = 0; c < N; ++c) sum[c] += factor * b[c];
    }
  }
  for (size_t c = 0; c < N; ++c) y[c] += sum[c];
}

}  // namespace

void Adapters::add(uint32_t id, const LowRank& addition) {
  if (id >= by_id_.size()) by_id_.resize(id + size_t{1});
  by_id_[id].push_back(addition);
}

const Additions* map_inputs(Step& step, std::span<const Product> products) {
  if (step.adapters == nullptr) return nullptr;
  const auto of = [&](const Linear* linear) {
    return linear != nullptr ? step.adapters->of(*linear) : std::span<const LowRank>();
  };
  size_t additions = 0;
  for (const Product& p : products) additions += of(p.linear).size() + of(p.gate).size();
  if (additions == 0) return nullptr;

  const Phase phase(step.profile, "adapters");
  auto* all = step.arena.take<Addition>(additions);
  auto* by_product = step.arena.take<Additions>(2 * products.size());
  size_t n = 0, pieces = 0;
  for (size_t i = 0; i < 2 * products.size(); ++i) {
    const Product& p = products[i / 2];
    const size_t first = n;
    for (const LowRank& low : of(i % 2 == 0 ? p.linear : p.gate)) {
      all[n] = {&low, step.arena.tensor(p.x.rows, low.a.out())};
      pieces += pieces_of(all[n++]);
    }
    by_product[i] = {all + first, n - first};
  }
  auto* piece = step.arena.take<Piece>(pieces);
  size_t made = 0;
  for (size_t i = 0; i < 2 * products.size(); ++i)
    for (const Addition& a : by_product[i])
      for (size_t row = 0; row < a.u.rows; row += kRows)
        for (size_t rank = 0; rank < a.u.cols; rank += kRanks) piece[made++] = {&a, products[i / 2].x, row, rank};
  step.executor.parallel_for(static_cast<uint32_t>(pieces), [&](uint32_t i, uint32_t) { run(piece[i]); });
  return by_product;
}

void add_mapped(Additions additions, size_t row, size_t first, const Tensor& y) {
  if (additions.empty()) return;
  for (size_t i = 0; i < y.rows; ++i) {
    size_t at = 0;
    for (; at + 64 <= y.cols; at += 64) add_columns<64>(additions, row + i, first + at, y.row(i) + at);
    for (; at + 8 <= y.cols; at += 8) add_columns<8>(additions, row + i, first + at, y.row(i) + at);
    for (; at < y.cols; ++at) add_columns<1>(additions, row + i, first + at, y.row(i) + at);
  }
}

}  // namespace kette::nn
