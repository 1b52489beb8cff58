// The mixture of experts against a plain loop over tokens and their experts.
#include "nn/moe.h"

#include <doctest/doctest.h>

#include <Eigen/Dense>
#include <cmath>
#include <random>

#include "support/model.h"

using namespace kette;
using namespace kette::nn;

namespace {

// Counts the parallel stretches of work, those that threads wait for each other after.
class Counting final : public Executor {
 public:
  explicit Counting(uint32_t n_threads) : pool_(test::value(make_thread_pool({n_threads, 20}))) {}
  uint32_t width() const override { return pool_->width(); }
  void run(uint32_t n, Task task, void* arg) override {
    regions += n > 1;
    pool_->run(n, task, arg);
  }
  size_t regions = 0;

 private:
  std::unique_ptr<Executor> pool_;
};

const kernels::Kernels& kernels_here() {
  static const kernels::Kernels kernels = test::value(kernels::choose_kernels(test::test_isa(), true, {}));
  return kernels;
}

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

// Makes linears with random weights of one format and owns their bytes.
class Weights {
 public:
  Weights(std::string_view format, Mode mode) : format_(find_format(format)), mode_(mode) {}

  Linear random(size_t out, size_t in, Mode mode) {
    std::vector<float> values(out * in);
    for (float& v : values) v = normal_(engine_) / std::sqrt(static_cast<float>(in));
    return of(values, out, in, mode);
  }
  Linear of(const std::vector<float>& values, size_t out, size_t in, Mode mode) {
    auto& bytes = bytes_.emplace_back(std::make_unique<std::vector<std::byte>>(out * format_->row_bytes(in)));
    format_->encode(values.data(), bytes->data(), values.size());
    return make_linear({format_, bytes->data(), out, in}, {}, kernels_here(), mode);
  }
  SwiGlu swiglu(size_t hidden, size_t intermediate) {
    return {random(intermediate, hidden, mode_), random(intermediate, hidden, mode_),
            random(hidden, intermediate, mode_)};
  }
  Moe moe(size_t hidden, size_t experts, size_t intermediate, size_t shared, const Routing& routing) {
    Moe m;
    m.router = {random(experts, hidden, Mode::kExact), {}, routing};
    for (size_t i = 0; i < experts; ++i) m.experts.push_back(swiglu(hidden, intermediate));
    if (shared == 0) return m;
    m.shared_expert = swiglu(hidden, shared);
    m.shared_expert_gate = random(1, hidden, Mode::kExact);
    return m;
  }
  std::vector<float> activations(size_t n) {
    std::vector<float> x(n);
    for (float& v : x) v = normal_(engine_);
    return x;
  }

 private:
  const Format* format_;
  Mode mode_;
  std::mt19937 engine_{7};
  std::normal_distribution<float> normal_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> bytes_;
};

Vector times(const Linear& linear, const Vector& x) {
  std::vector<float> values(linear.out() * linear.in());
  linear.weight.format->decode(linear.weight.data, values.data(), values.size());
  return Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             values.data(), static_cast<Eigen::Index>(linear.out()), static_cast<Eigen::Index>(linear.in()))
             .cast<double>() *
         x;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Vector swiglu(const SwiGlu& s, const Vector& x) {
  const Vector gate = times(s.gate_proj, x);
  return times(s.down_proj, gate.unaryExpr([](double v) { return v * sigmoid(v); }).cwiseProduct(times(s.up_proj, x)));
}

Vector plain(const Moe& moe, const Vector& x) {
  const Vector logits = times(moe.router.gate, x);
  const Eigen::VectorXf rounded = logits.cast<float>();
  std::vector<Choice> chosen(moe.router.routing.num_experts_per_tok);
  moe.router.choose(rounded.data(), chosen.data());
  Vector y = Vector::Zero(x.size());
  for (const Choice& c : chosen) y += static_cast<double>(c.weight) * swiglu(moe.experts[c.expert], x);
  if (moe.shared_expert)
    y += swiglu(*moe.shared_expert, x) * (moe.shared_expert_gate ? sigmoid(times(*moe.shared_expert_gate, x)(0)) : 1);
  return y;
}

std::vector<float> run(const Moe& moe, Executor& executor, Mode mode, const std::vector<float>& x, size_t hidden) {
  Scratch scratch(kernels_here(), executor.width());
  Step step(executor, kernels_here(), mode, scratch);
  const size_t rows = x.size() / hidden;
  std::vector<float> in = x, out(x.size(), 0.0f);
  moe.add(step, {in.data(), rows, hidden, hidden}, {out.data(), rows, hidden, hidden});
  test::ok(step.status());
  return out;
}

constexpr size_t kHidden = 96, kExperts = 12, kIntermediate = 64;
constexpr Routing kRouting = {.num_experts_per_tok = 3, .norm_topk_prob = true};

}  // namespace

TEST_CASE("moe: the sum of each token's experts, in every mode") {
  for (const std::string_view format : {"f32", "bf16", "q8_0", "q4_0"}) {
    for (const Mode mode : {Mode::kExact, Mode::kDeterministic, Mode::kFast}) {
      Weights weights(format, mode);
      for (const size_t shared : {0, 160}) {
        const Moe moe = weights.moe(kHidden, kExperts, kIntermediate, shared, kRouting);
        Counting executor(3);
        for (const size_t rows : {1, 2, 9, 70}) {
          CAPTURE(format);
          CAPTURE(rows);
          const std::vector<float> x = weights.activations(rows * kHidden);
          const std::vector<float> y = run(moe, executor, mode, x, kHidden);
          double error = 0, size = 0;
          for (size_t i = 0; i < rows; ++i) {
            const Vector in = Eigen::Map<const Eigen::VectorXf>(x.data() + i * kHidden, kHidden).cast<double>();
            const Vector out = Eigen::Map<const Eigen::VectorXf>(y.data() + i * kHidden, kHidden).cast<double>();
            const Vector expected = plain(moe, in);
            error += (out - expected).squaredNorm();
            size += expected.squaredNorm();
          }
          // Relative, root mean square: three sums of some 100 float products in a row; 8 bits of an activation (int8 of
          // a block's largest, bfloat16) round it by about 1 / 256 of its size, three times as well.
          CHECK(std::sqrt(error / size) < (mode == Mode::kExact || format == "f32" ? 2e-6 : 2e-2));
        }
      }
    }
  }
}

TEST_CASE("moe: a token's result does not depend on its neighbours in exact and deterministic modes") {
  for (const Mode mode : {Mode::kExact, Mode::kDeterministic}) {
    Weights weights("q8_0", mode);
    const Moe moe = weights.moe(kHidden, kExperts, kIntermediate, 160, kRouting);
    const std::vector<float> x = weights.activations(150 * kHidden);
    Counting executor(2);
    const std::vector<float> together = run(moe, executor, mode, x, kHidden);
    for (size_t row = 0, rows = 1; row < 150; row += rows, rows = std::min<size_t>(rows * 2, 150 - row)) {
      const std::vector<float> some(x.begin() + static_cast<ptrdiff_t>(row * kHidden),
                                    x.begin() + static_cast<ptrdiff_t>((row + rows) * kHidden));
      const std::vector<float> apart = run(moe, executor, mode, some, kHidden);
      CHECK(std::equal(apart.begin(), apart.end(), together.begin() + static_cast<ptrdiff_t>(row * kHidden)));
    }
  }
}

TEST_CASE("moe: the same bits for any number of threads") {
  for (const Mode mode : {Mode::kExact, Mode::kDeterministic, Mode::kFast}) {
    Weights weights("q4_0", mode);
    const Moe moe = weights.moe(kHidden, kExperts, kIntermediate, 160, kRouting);
    for (const size_t rows : {1, 5, 70}) {
      const std::vector<float> x = weights.activations(rows * kHidden);
      std::vector<std::vector<float>> results;
      for (const uint32_t n_threads : {1u, 2u, 3u, 4u, 8u}) {
        Counting executor(n_threads);
        results.push_back(run(moe, executor, mode, x, kHidden));
      }
      for (const auto& r : results) CHECK(r == results.front());
    }
  }
}

TEST_CASE("moe: one row takes three parallel stretches of work") {
  Weights weights("q8_0", Mode::kFast);
  const Moe moe = weights.moe(256, 16, 128, 256, {.num_experts_per_tok = 8});
  Counting executor(2);
  run(moe, executor, Mode::kFast, weights.activations(256), 256);
  CHECK(executor.regions == 3);  // router; gate and up; down
}

// 1 and 1 + 2^-10 are equal in eight bits of either kind; the router must tell them apart.
TEST_CASE("moe: the router's input is not rounded in any mode") {
  constexpr size_t kWidth = 64;
  for (const std::string_view format : {"bf16", "q8_0"}) {
    for (const Mode mode : {Mode::kExact, Mode::kDeterministic, Mode::kFast}) {
      Weights weights(format, mode);
      Moe moe = weights.moe(kWidth, 2, 32, 0, {.num_experts_per_tok = 1, .norm_topk_prob = true});
      std::vector<float> gate(2 * kWidth);
      gate[0] = gate[kWidth + 1] = 1;  // logits: x[0], x[1]
      moe.router.gate = weights.of(gate, 2, kWidth, Mode::kExact);
      for (const size_t rows : {1, 20}) {
        std::vector<float> x = weights.activations(rows * kWidth);
        for (size_t i = 0; i < rows; ++i) {
          for (size_t j = 2; j < 32; ++j) x[i * kWidth + j] /= 8;  // the block's largest is x[1]
          x[i * kWidth] = 1;
          x[i * kWidth + 1] = 1 + 0x1p-10f;
        }
        Counting executor(2);
        const std::vector<float> y = run(moe, executor, mode, x, kWidth);
        moe.router.e_score_correction_bias = {0, 1};  // expert 1 for certain
        CHECK(run(moe, executor, mode, x, kWidth) == y);
        moe.router.e_score_correction_bias = {};
      }
    }
  }
}
