// Linear on odd shapes, in every format and mode, against Eigen's product of the decoded weights in double.
#include "nn/linear.h"

#include <doctest/doctest.h>

#include <Eigen/Core>
#include <cmath>
#include <cstring>
#include <random>

#include "base/float_types.h"
#include "support/nn.h"
#include "support/panels.h"

namespace kette::test {
namespace {

using nn::Mode;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Index index(size_t i) { return static_cast<Eigen::Index>(i); }

// A weight [rows, cols] of normal numbers, or, where Kette only reads the format, of bytes that decode to small ones.
struct Stored {
  AlignedBuffer<std::byte> bytes;
  nn::Weight weight;
  Matrix decoded;
  Matrix largest;  // of the magnitudes in the number's block
};

Stored random_weight(const Format& format, size_t rows, size_t cols, std::mt19937& random) {
  std::normal_distribution<float> normal;
  Stored out;
  out.bytes = AlignedBuffer<std::byte>(rows * format.row_bytes(cols));
  std::vector<float> block(format.block_size);
  for (size_t at = 0; at < out.bytes.size(); at += format.block_bytes) {
    std::byte* stored = out.bytes.data() + at;
    if (format.encode != nullptr) {
      for (float& f : block) f = normal(random);
      format.encode(block.data(), stored, block.size());
      continue;
    }
    for (bool fit = false; !fit;) {
      for (size_t i = 0; i < format.block_bytes; ++i) stored[i] = static_cast<std::byte>(random() >> 8);
      format.decode(stored, block.data(), block.size());
      fit = std::all_of(block.begin(), block.end(), [](float f) { return std::fabs(f) <= 100.0f; });
    }
  }
  out.weight = {&format, out.bytes.data(), rows, cols};
  out.decoded.resize(index(rows), index(cols));
  out.largest.resize(index(rows), index(cols));
  std::vector<float> row(cols);
  for (size_t i = 0; i < rows; ++i) {
    format.decode(out.weight.row(i), row.data(), cols);
    out.decoded.row(index(i)) = Eigen::Map<const Eigen::RowVectorXf>(row.data(), index(cols)).cast<double>();
    for (size_t k = 0; k < cols; k += format.block_size) {
      const auto block = out.decoded.row(index(i)).segment(index(k), index(format.block_size));
      out.largest.row(index(i)).segment(index(k), index(format.block_size)).setConstant(block.cwiseAbs().maxCoeff());
    }
  }
  return out;
}

struct Case {
  size_t rows, in, out;
};

// The largest error that roundings explain, for each output of one row x:
//   sums    a float sum of k terms errs by at most (k + 4) 2^-24 times the sum of magnitudes |x| |w|, 4 for the bias
//   and
//           for terms that are rounded products; formats with offsets sum code * d and offset * d apart, each up to 4
//           times the largest weight of its block, so their magnitudes count with that largest weight
//   exact   nothing else
//   fast, deterministic   the larger of: activations as integers, off by half a step = max |x| of 32 / 254; activations
//           and weights as bfloat16, off by 2^-8 each
Eigen::VectorXd tolerance(Mode mode, const Stored& w, const Eigen::VectorXd& x, const Eigen::VectorXd& bias) {
  const Eigen::VectorXd magnitude = w.weight.format->block_size == 1 ? (w.decoded.cwiseAbs() * x.cwiseAbs()).eval()
                                                                     : (4 * w.largest * x.cwiseAbs()).eval();
  const Eigen::VectorXd sums = (static_cast<double>(x.size()) + 4) * 0x1p-24 * (magnitude + bias.cwiseAbs());
  if (mode == Mode::kExact) return sums;
  Eigen::VectorXd step(x.size());
  for (Eigen::Index i = 0; i < x.size(); i += 32) {
    const Eigen::Index n = std::min<Eigen::Index>(32, x.size() - i);
    step.segment(i, n).setConstant(x.segment(i, n).cwiseAbs().maxCoeff() / 254);
  }
  const Eigen::VectorXd narrow = (2 * 0x1p-8 + 0x1p-16) * x.cwiseAbs();
  return sums + 1.01 * (w.decoded.cwiseAbs() * step).cwiseMax(w.decoded.cwiseAbs() * narrow);
}

void check(const Case& c, const Format& format, Mode mode, std::mt19937& random) {
  CAPTURE(std::string(format.name));
  CAPTURE(c.rows);
  CAPTURE(c.in);
  CAPTURE(c.out);
  CAPTURE(static_cast<int>(mode));
  const TestKernels t(3);
  nn::Scratch scratch(t.kernels, t.pool->width());
  nn::Step step(*t.pool, t.kernels, mode, scratch);
  std::normal_distribution<float> normal;
  // Two products of one input, as gate and up; one has a bias.
  const Stored first = random_weight(format, c.out, c.in, random), second = random_weight(format, 5, c.in, random);
  std::vector<float> bias(c.out), x(c.rows * c.in), y(c.rows * c.out + 1, -1.0f), z(c.rows * 7, -1.0f);
  for (float& f : bias) f = normal(random);
  for (float& f : x) f = normal(random);
  const std::vector<float> before = x;
  const nn::Linear a = nn::make_linear(first.weight, bias, t.kernels, mode);
  const nn::Linear b = nn::make_linear(second.weight, {}, t.kernels, mode);
  const nn::Tensor input{x.data(), c.rows, c.in, c.in};
  const nn::Product products[] = {{&a, input, {y.data(), c.rows, c.out, c.out}}, {&b, input, {z.data(), c.rows, 5, 7}}};
  nn::multiply(step, products);
  REQUIRE(step.status().ok());
  CHECK(x == before);
  CHECK(y.back() == -1.0f);
  const Eigen::VectorXd bias_of_a = Eigen::Map<const Eigen::VectorXf>(bias.data(), index(c.out)).cast<double>();
  size_t wrong = 0;
  const auto compare = [&](const float* got, const Stored& w, const Eigen::VectorXd& row,
                           const Eigen::VectorXd& with_bias) {
    const Eigen::VectorXd expected = w.decoded * row + with_bias, bound = tolerance(mode, w, row, with_bias);
    for (Eigen::Index r = 0; r < expected.size(); ++r) {
      if (std::fabs(static_cast<double>(got[r]) - expected(r)) <= bound(r)) continue;
      if (wrong++ == 0) MESSAGE("output ", r, ": ", got[r], ", expected ", expected(r), " within ", bound(r));
    }
  };
  for (size_t i = 0; i < c.rows; ++i) {
    const Eigen::VectorXd row = Eigen::Map<const Eigen::VectorXf>(x.data() + i * c.in, index(c.in)).cast<double>();
    compare(y.data() + i * c.out, first, row, bias_of_a);
    compare(z.data() + i * 7, second, row, Eigen::VectorXd::Zero(5));
    CHECK(z[i * 7 + 5] == -1.0f);  // beyond the row's columns
    CHECK(z[i * 7 + 6] == -1.0f);
  }
  CHECK(wrong == 0);
}

TEST_CASE("y = x W^T + b in every format and mode, few rows and many") {
  std::mt19937 random(1);
  for (const Format* format : formats()) {
    const size_t block = format->block_size;
    // In: around a block, beyond the depth of one panel. Out: around the width of one panel. Rows: dot kernels, panels.
    const std::vector<size_t> ins = block == 1    ? std::vector<size_t>{1, 33, 96, 1027}
                                    : block == 32 ? std::vector<size_t>{32, 96, 1056}
                                                  : std::vector<size_t>{256, 1280};
    for (const size_t in : ins) {
      for (const Mode mode : {Mode::kFast, Mode::kDeterministic, Mode::kExact}) {
        check({1, in, 67}, *format, mode, random);
        check({7, in, 16}, *format, mode, random);
        check({19, in, 1}, *format, mode, random);
        check({33, in, 129}, *format, mode, random);
      }
    }
  }
}

TEST_CASE("deterministic and exact rows do not depend on the rows beside them") {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  const TestKernels t(2);
  nn::Scratch scratch(t.kernels, t.pool->width());
  for (const char* name : {"f32", "q8_0", "q4_k"}) {
    const Stored stored = random_weight(*find_format(name), 70, 512, random);
    for (const Mode mode : {Mode::kDeterministic, Mode::kExact}) {
      nn::Step step(*t.pool, t.kernels, mode, scratch);
      const nn::Linear linear = nn::make_linear(stored.weight, {}, t.kernels, mode);
      std::vector<float> x(40 * 512), all(40 * 70), one(70);
      for (float& f : x) f = normal(random);
      const nn::Product together[] = {{&linear, {x.data(), 40, 512, 512}, {all.data(), 40, 70, 70}}};
      nn::multiply(step, together);
      for (const size_t i : {0, 7, 39}) {
        const nn::Product alone[] = {{&linear, {x.data() + i * 512, 1, 512, 512}, {one.data(), 1, 70, 70}}};
        nn::multiply(step, alone);
        CHECK(std::equal(one.begin(), one.end(), all.begin() + static_cast<ptrdiff_t>(i * 70)));
      }
    }
  }
}

// A dot kernel that multiplies nothing, so that results say who was there; -1 where it is asked for too many rows.
template <size_t kMost>
void only_ones(const kernels::DotArgs& a) {
  for (size_t i = 0; i < a.m; ++i)
    for (size_t r = 0; r < a.rows; ++r) a.y[i * a.y_stride + r] = a.m > kMost ? -1.0f : 1.0f;
}

TEST_CASE("dot kernels take a few rows, or all until a panel is worth it; in deterministic mode any number") {
  std::mt19937 random(4);
  TestKernels t(2);
  nn::Scratch scratch(t.kernels, t.pool->width());
  const Stored stored = random_weight(*find_format("q8_0"), 70, 64, random);
  const kernels::DotRow few_row{"test", Isa::kRef, "q8_0", kernels::Form::kQ8, false, &only_ones<16>};
  const kernels::DotRow many_row{"test", Isa::kRef, "q8_0", kernels::Form::kQ8, true, &only_ones<SIZE_MAX>};
  std::vector<float> x(40 * 64, 1.0f), y(40 * 70);
  for (const Mode mode : {Mode::kFast, Mode::kDeterministic}) {
    CAPTURE(static_cast<int>(mode));
    nn::Linear many = nn::make_linear(stored.weight, {}, t.kernels, mode), few = many;
    many.dot = &many_row;
    many.panel_from = 32;
    few.dot = &few_row;
    few.panel_from = nn::kFewRows + 1;
    const auto by_dot = [&](size_t rows, const nn::Linear& linear, const nn::Linear* gate) {
      nn::Step step(*t.pool, t.kernels, mode, scratch);
      const nn::Product products[] = {{&linear, {x.data(), rows, 64, 64}, {y.data(), rows, 70, 70}, gate}};
      nn::multiply(step, products);
      REQUIRE(step.status().ok());
      const float expected = gate == nullptr ? 1.0f : 1 / (1 + std::exp(-1.0f));  // silu(1) * 1
      return std::all_of(y.begin(), y.begin() + static_cast<ptrdiff_t>(rows * 70),
                         [&](float f) { return std::fabs(f - expected) < 1e-5f; });
    };
    for (const size_t rows : {1, 8, 9, 31, 32, 40}) {
      CAPTURE(rows);
      const bool any = mode == Mode::kDeterministic;
      CHECK(by_dot(rows, few, nullptr) == (any || rows <= 8));
      CHECK(by_dot(rows, many, nullptr) == (any || rows < 32));
      CHECK(by_dot(rows, many, &many) == (any || rows < 32));
      // The one for which panels are sooner worth it decides for both.
      CHECK(by_dot(rows, many, &few) == (any || rows <= 8));
      CHECK(by_dot(rows, few, &many) == (any || rows <= 8));
    }
  }
  // How many rows are taken in one way from there on.
  t.kernels.panel_from = 32;
  CHECK(nn::few_rows(t.kernels) == 31);
  t.kernels.panel_from = SIZE_MAX;
  CHECK(nn::few_rows(t.kernels) == nn::kFewRows);
}

// Panels of bfloat16 as plain loops, so that how they are filled and walked is tested on every CPU.
class PlainPanel final : public kernels::PanelMultiply {
 public:
  kernels::PanelType type() const override { return kernels::PanelType::kBf16; }
  size_t scratch_bytes() const override { return 0; }
  Status multiply(const kernels::PanelArgs& args) override {
    for (size_t i = 0; i < args.m; ++i) {
      const auto* a = reinterpret_cast<const uint16_t*>(args.a + i * args.a_stride);
      for (size_t j = 0; j < args.width; ++j) {
        float sum = args.add ? args.c[i * args.c_stride + j] : 0.0f;
        for (size_t k = 0; k < args.k; ++k)
          sum += bf16_to_float(a[k]) * static_cast<float>(panel_number(type(), args.panel, k, j));
        args.c[i * args.c_stride + j] = sum;
      }
    }
    return {};
  }
};

TEST_CASE("bfloat16 panels, several in a piece of work: values, and one result for any number of threads") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  // Many panels for one thread, few for eight; more rows than meet them at once; rows of a multiple of 4,096 bytes.
  struct Size {
    size_t rows, in, out;
    bool plain;
  };
  for (const Size& size : {Size{150, 2048, 1037, false}, Size{17, 1025, 1037, true}, Size{140, 2048, 530, true}}) {
    const auto [rows, in, out, plain] = size;
    const Stored weight = random_weight(*find_format("bf16"), out, in, random);
    const Stored gate = random_weight(*find_format("fp8_e4m3"), out, in, random);
    std::vector<float> x(rows * in), first;
    for (float& f : x) f = normal(random);
    for (const uint32_t threads : {1u, 2u, 8u}) {
      CAPTURE(threads);
      TestKernels t(threads);
      if (plain) {
        t.kernels.fast_panels.clear();
        t.kernels.fast_panels.push_back(std::make_unique<PlainPanel>());
      }
      nn::Scratch scratch(t.kernels, t.pool->width());
      nn::Step step(*t.pool, t.kernels, Mode::kFast, scratch);
      const nn::Linear a = nn::make_linear(weight.weight, {}, t.kernels, Mode::kFast);
      const nn::Linear b = nn::make_linear(gate.weight, {}, t.kernels, Mode::kFast);
      std::vector<float> y(rows * out * 2);
      const nn::Tensor input{x.data(), rows, in, in};
      const nn::Product products[] = {{&a, input, {y.data(), rows, out, 2 * out}},
                                      {&a, input, {y.data() + out, rows, out, 2 * out}, &b}};
      nn::multiply(step, products);
      REQUIRE(step.status().ok());
      if (threads == 1) first = y;
      CHECK(std::memcmp(y.data(), first.data(), y.size() * sizeof(float)) == 0);
    }
    size_t wrong = 0;
    for (size_t i = 0; i < rows; i += 7) {
      const Eigen::VectorXd row = Eigen::Map<const Eigen::VectorXf>(x.data() + i * in, index(in)).cast<double>();
      const Eigen::VectorXd expected = weight.decoded * row, zero = Eigen::VectorXd::Zero(index(out));
      const Eigen::VectorXd bound = tolerance(Mode::kFast, weight, row, zero);
      for (size_t r = 0; r < out; ++r) {
        const double got = static_cast<double>(first[i * out * 2 + r]);
        wrong += !(std::fabs(got - expected(index(r))) <= bound(index(r)));
      }
    }
    CHECK(wrong == 0);
  }
}

}  // namespace
}  // namespace kette::test
