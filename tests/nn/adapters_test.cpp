// Low-rank additions to products, with and without a gate, against Eigen in double.
#include "nn/adapters.h"

#include <doctest/doctest.h>

#include <Eigen/Core>
#include <cmath>
#include <random>

#include "support/nn.h"

namespace kette::test {
namespace {

using nn::Mode;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Index index(size_t i) { return static_cast<Eigen::Index>(i); }

std::vector<float> normals(size_t n, std::mt19937& random, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> out(n);
  for (float& f : out) f = normal(random);
  return out;
}

Matrix matrix(const std::vector<float>& x, size_t rows) {
  using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const Floats>(x.data(), index(rows), index(x.size() / rows)).cast<double>();
}

nn::Weight plain(const std::vector<float>& numbers, size_t rows) {
  return {find_format("f32"), reinterpret_cast<const std::byte*>(numbers.data()), rows, numbers.size() / rows};
}

// Numbers of one addition; B as nn wants it is [rank][out].
struct Pair {
  std::vector<float> a, b;
  size_t rank;
  float scale;
  Matrix product() const { return static_cast<double>(scale) * matrix(b, rank).transpose() * matrix(a, rank); }
  nn::LowRank low_rank(const kernels::Kernels& k, size_t out) const {
    return {nn::make_linear(plain(a, rank), {}, k, Mode::kExact), b.data(), out, scale};
  }
};

constexpr size_t kIn = 83, kOut = 150;

struct Layer {
  explicit Layer(uint32_t n_threads, std::mt19937& random) : kernels(n_threads) {
    for (auto* w : {&up, &gate, &other}) *w = normals(kOut * kIn, random, 0.1f);
    for (const size_t rank : {size_t{5}, size_t{19}, size_t{1}})
      pairs.push_back({normals(rank * kIn, random, 0.1f), normals(rank * kOut, random), rank, 0.7f});
    pairs[1].scale = -1.5f;
    adapters.add(0, pairs[0].low_rank(kernels.kernels, kOut));  // up has two, gate one, the other none
    adapters.add(1, pairs[1].low_rank(kernels.kernels, kOut));
    adapters.add(0, pairs[2].low_rank(kernels.kernels, kOut));
  }

  // [rows][2 * kOut]: silu(gate) * up, and the other's.
  std::vector<float> run(const std::vector<float>& x, Mode mode, const nn::Adapters* attached) const {
    const size_t rows = x.size() / kIn;
    nn::Scratch scratch(kernels.kernels, kernels.pool->width());
    nn::Step step(*kernels.pool, kernels.kernels, mode, scratch, attached);
    nn::Linear u = nn::make_linear(plain(up, kOut), {}, kernels.kernels, mode);
    nn::Linear g = nn::make_linear(plain(gate, kOut), {}, kernels.kernels, mode);
    nn::Linear o = nn::make_linear(plain(other, kOut), {}, kernels.kernels, mode);
    u.id = 0;
    g.id = 1;
    o.id = 7;  // beyond all that have additions
    std::vector<float> y(rows * 2 * kOut);
    const nn::Tensor input{const_cast<float*>(x.data()), rows, kIn, kIn};
    const nn::Product products[] = {{&o, input, {y.data() + kOut, rows, kOut, 2 * kOut}},
                                    {&u, input, {y.data(), rows, kOut, 2 * kOut}, &g}};
    nn::multiply(step, products);
    REQUIRE(step.status().ok());
    return y;
  }

  Matrix expected(const std::vector<float>& x) const {
    const Matrix input = matrix(x, x.size() / kIn);
    const Matrix u = input * (matrix(up, kOut) + pairs[0].product() + pairs[2].product()).transpose();
    const Matrix g = input * (matrix(gate, kOut) + pairs[1].product()).transpose();
    Matrix out(input.rows(), 2 * kOut);
    out << (g.array() / (1 + (-g.array()).exp()) * u.array()).matrix(), input * matrix(other, kOut).transpose();
    return out;
  }

  TestKernels kernels;
  std::vector<float> up, gate, other;
  std::vector<Pair> pairs;
  nn::Adapters adapters;
};

}  // namespace

TEST_CASE("additions are part of the product, before the gate's activation, in every mode") {
  std::mt19937 random(1);
  const Layer layer(3, random);
  for (const size_t rows : {1, 7, 33})
    for (const Mode mode : {Mode::kFast, Mode::kDeterministic, Mode::kExact}) {
      CAPTURE(rows);
      CAPTURE(static_cast<int>(mode));
      const std::vector<float> x = normals(rows * kIn, random);
      const Matrix expected = layer.expected(x), got = matrix(layer.run(x, mode, &layer.adapters), rows);
      // f32 weights are multiplied as float in every mode: sums of 83 and of up to 25 products of magnitudes below 20.
      CHECK((got - expected).cwiseAbs().maxCoeff() < 83 * 0x1p-24 * 20 * 20);
      CHECK((matrix(layer.run(x, mode, nullptr), rows) - expected).leftCols(kOut).cwiseAbs().maxCoeff() > 0.1);
    }
}

TEST_CASE("without adapters, or with those of other matrices, no bit is different") {
  std::mt19937 random(2);
  const Layer layer(2, random);
  const std::vector<float> x = normals(9 * kIn, random);
  nn::Adapters elsewhere;
  elsewhere.add(3, layer.pairs[0].low_rank(layer.kernels.kernels, kOut));
  for (const Mode mode : {Mode::kFast, Mode::kDeterministic, Mode::kExact}) {
    const auto without = layer.run(x, mode, nullptr), with = layer.run(x, mode, &layer.adapters);
    CHECK(layer.run(x, mode, &elsewhere) == without);
    for (size_t i = 0; i < 9; ++i)  // the product that nothing is added to
      CHECK(std::equal(with.begin() + static_cast<ptrdiff_t>((2 * i + 1) * kOut),
                       with.begin() + static_cast<ptrdiff_t>((2 * i + 2) * kOut),
                       without.begin() + static_cast<ptrdiff_t>((2 * i + 1) * kOut)));
  }
}

TEST_CASE("a row's bits do not depend on threads or on the rows beside it") {
  std::mt19937 random(3);
  std::mt19937 same(4), again(4);
  const Layer one(1, same), three(3, again);
  const std::vector<float> x = normals(40 * kIn, random);
  for (const Mode mode : {Mode::kDeterministic, Mode::kExact}) {
    const auto all = one.run(x, mode, &one.adapters);
    CHECK(three.run(x, mode, &three.adapters) == all);
    for (const size_t i : {0, 17, 39}) {
      const auto row = x.begin() + static_cast<ptrdiff_t>(i * kIn);
      const auto alone = three.run({row, row + kIn}, mode, &three.adapters);
      CHECK(std::equal(alone.begin(), alone.end(), all.begin() + static_cast<ptrdiff_t>(i * 2 * kOut)));
    }
  }
}

}  // namespace kette::test
