// The small parts of a layer: norm, embedding, rotary angles, KV cache, attention over it.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <cmath>
#include <cstring>
#include <numbers>
#include <random>

#include "nn/embedding.h"
#include "nn/gqa_attention.h"
#include "nn/rms_norm.h"
#include "nn/rope.h"
#include "nn/swiglu.h"
#include "support/nn.h"

namespace kette::test {
namespace {

struct Bench {
  TestKernels t{2};
  nn::Scratch scratch{t.kernels, t.pool->width()};
  nn::Step step{*t.pool, t.kernels, nn::Mode::kExact, scratch};
};

std::vector<float> normals(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& f : out) f = normal(random);
  return out;
}

double wide(float f) { return static_cast<double>(f); }

TEST_CASE("rms_norm against Eigen in double, in place too") {
  Bench b;
  for (const size_t n : {1, 5, 64, 577}) {
    nn::RmsNorm norm{normals(n, 1), 1e-5f};
    std::vector<float> x = normals(n * 19, 2), y(x.size());
    norm(b.step, {x.data(), 19, n, n}, {y.data(), 19, n, n});
    for (size_t i = 0; i < 19; ++i) {
      const Eigen::Map<const Eigen::VectorXf> row(x.data() + i * n, static_cast<Eigen::Index>(n));
      const double scale = 1 / std::sqrt(row.cast<double>().squaredNorm() / static_cast<double>(n) + wide(1e-5f));
      for (size_t k = 0; k < n; ++k) {
        const double expected = wide(x[i * n + k]) * scale * wide(norm.weight[k]);
        // The sum of squares errs by n 2^-24 of itself, its root by half that; then at most 5 roundings.
        CHECK(std::fabs(wide(y[i * n + k]) - expected) <=
              (static_cast<double>(n) / 2 + 5) * 0x1p-24 * std::fabs(expected));
      }
    }
    norm(b.step, {x.data(), 19, n, n}, {x.data(), 19, n, n});
    CHECK(x == y);
  }
}

TEST_CASE("an embedding is the token's row") {
  Bench b;
  std::vector<float> table = normals(10 * 33, 3), x(4 * 33);
  const nn::Embedding embedding{{find_format("f32"), reinterpret_cast<const std::byte*>(table.data()), 10, 33}};
  const int32_t tokens[] = {9, 0, 3, 9};
  embedding(b.step, tokens, {x.data(), 4, 33, 33});
  for (size_t i = 0; i < 4; ++i)
    CHECK(std::memcmp(x.data() + i * 33, table.data() + static_cast<size_t>(tokens[i]) * 33, 33 * sizeof(float)) == 0);
}

TEST_CASE("rotary angles are position times frequency") {
  const nn::Rope rope{nn::rope_frequencies(64, 10000.0)};
  REQUIRE(rope.inv_freq.size() == 32);
  for (size_t i = 0; i < 32; ++i) {
    const double expected = std::pow(10000.0, -static_cast<double>(i) / 32);
    CHECK(std::fabs(wide(rope.inv_freq[i]) - expected) <= 0x1p-24 * expected);
  }
  float cos[32], sin[32];
  for (const size_t position : {0, 1, 1000, 131071}) {
    rope.angles(position, cos, sin);
    for (size_t i = 0; i < 32; ++i) {
      const double angle = static_cast<double>(position) * wide(rope.inv_freq[i]);
      // The angle is rounded to float before its cosine is taken.
      const double tolerance = 0x1p-24 * (angle + 1);
      CHECK(std::fabs(wide(cos[i]) - std::cos(angle)) <= tolerance);
      CHECK(std::fabs(wide(sin[i]) - std::sin(angle)) <= tolerance);
    }
  }
}

TEST_CASE("Llama 3.1's scaling keeps short waves, stretches long ones and blends those between") {
  const std::vector<float> plain = nn::rope_frequencies(128, 500000.0);
  std::vector<float> scaled = plain;
  nn::scale_llama3(scaled, 8.0, 1.0, 4.0, 8192.0);
  size_t kept = 0, stretched = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / wide(plain[i]);
    if (wavelength < 8192.0 / 4) {
      CHECK(scaled[i] == plain[i]);
      ++kept;
    } else if (wavelength > 8192.0) {
      CHECK(scaled[i] == plain[i] / 8);
      ++stretched;
    } else {
      CHECK(scaled[i] < plain[i]);
      CHECK(scaled[i] > plain[i] / 8);
    }
    if (i > 0) CHECK(scaled[i] < scaled[i - 1]);
  }
  CHECK(kept + stretched < plain.size());
  CHECK(kept > 0);
  CHECK(stretched > 0);
}

TEST_CASE("yarn keeps the pairs that turn often, stretches those that turn less than once, and blends between") {
  const std::vector<float> plain = nn::rope_frequencies(64, 10000.0);
  std::vector<float> scaled = plain;
  nn::scale_yarn(scaled, 10000.0, {40.0, 32.0, 1.0, 4096.0});
  // Over 4096 positions pair i turns 4096 / (2 pi 10000^(i / 32)) times: 32 times at i = 10.5, once at i = 22.5.
  for (size_t i = 0; i < 32; ++i) {
    CAPTURE(i);
    if (i <= 10) CHECK(scaled[i] == plain[i]);
    if (i > 10 && i < 23) CHECK((scaled[i] < plain[i] && scaled[i] > plain[i] / 40));
    if (i >= 23) CHECK(scaled[i] == doctest::Approx(plain[i] / 40).epsilon(1e-6));
  }
  CHECK(nn::yarn_magnitude(40.0, 0.707) == doctest::Approx(1.26080));  // 0.0707 ln 40 + 1
  CHECK(nn::yarn_magnitude(1.0, 1.0) == 1.0);
}

TEST_CASE("a KV cache keeps every position of every layer and head apart, and what is shared from what is written") {
  for (const nn::KvType type : {nn::KvType::kF32, nn::KvType::kF16, nn::KvType::kBf16, nn::KvType::kQ8_0}) {
    for (const size_t value_dim : {10, 6, 0}) {
      const nn::KvShape shape{3, 2, 10, value_dim};
      const size_t n = 150, filled = 130;  // two whole pages, and a part of a third
      nn::KvCache a = value(nn::KvCache::make(shape, type, n));
      const size_t key = shape.key_bytes(type), row = shape.value_bytes(type),
                   page = 3 * 2 * KETTE_KV_PAGE * (key + row);
      CHECK(a.bytes() == 0);
      CHECK(value(nn::KvCache::size(shape, type, n)) == 3 * page);
      a.prepare(0, 1, 0);
      CHECK(a.bytes() == page);
      a.prepare(1, n, 1);
      CHECK(a.bytes() == 3 * page);
      // f(row, its bytes, a number for it) of positions [from, to).
      const auto each = [&](const nn::KvCache& cache, size_t from, size_t to, auto&& f) {
        for (size_t t = from; t < to; ++t)
          for (size_t i = 0; i < 6; ++i) {
            f(cache.key(i / 2, i % 2, t), key, static_cast<unsigned char>(t * 12 + i));
            f(cache.value(i / 2, i % 2, t), row, static_cast<unsigned char>(t * 12 + 6 + i));
          }
      };
      const auto fill = [](std::byte* p, size_t bytes, unsigned char with) { std::memset(p, with, bytes); };
      const auto clear = [](std::byte* p, size_t bytes, unsigned char) { std::memset(p, 0xee, bytes); };
      const auto wrong = [&](const nn::KvCache& cache, size_t from, size_t to) {
        size_t count = 0;
        each(cache, from, to, [&](const std::byte* p, size_t bytes, unsigned char with) {
          for (size_t i = 0; i < bytes; ++i) count += p[i] != std::byte{with};
        });
        return count;
      };
      each(a, 0, n, fill);
      CHECK(wrong(a, 0, n) == 0);

      nn::KvCache b = a.share(filled);
      CHECK(b.bytes() == 3 * page);
      for (size_t i = 0; i < 3; ++i) CHECK(b.page(i) == a.page(i));
      b.prepare(filled, n, filled);  // a copy of the third page as far as it is shared
      CHECK(b.page(1) == a.page(1));
      CHECK_FALSE(b.page(2) == a.page(2));
      CHECK(a.page(2).alone());
      CHECK(wrong(b, 0, filled) == 0);
      each(b, filled, n, clear);
      CHECK(wrong(a, 0, n) == 0);
      // The owner too writes to a copy: here of a whole page, as for a layer that comes later.
      const std::byte* before = a.key(0, 0, 64);
      a.prepare(64, 66, filled);
      CHECK(a.key(0, 0, 64) != before);
      CHECK(a.pages()[1] == a.page(1).data());
      CHECK(wrong(a, 0, n) == 0);
      each(a, 64, 128, clear);
      CHECK(wrong(b, 0, filled) == 0);
      // Behind what is wanted, pages that others hold go, the own ones stay.
      nn::KvCache c = b.share(100);
      b.drop_behind(30);
      CHECK(b.bytes() == 2 * page);
      CHECK(b.page(0) == a.page(0));
      CHECK(b.page(1).alone());
      CHECK(wrong(c, 0, 100) == 0);
    }
  }
  CHECK(nn::KvCache::make({64, 64, 128, 128}, nn::KvType::kF32, SIZE_MAX / 1024).status().code() == Code::kBudget);
  CHECK(nn::KvCache::make({1, 1, 1, 1}, nn::KvType::kF16, SIZE_MAX).status().code() == Code::kBudget);
}

// A weight of floats, as it lies in memory.
nn::Linear linear(const std::vector<float>& w, size_t out, size_t in, const TestKernels& t) {
  return nn::make_linear({find_format("f32"), reinterpret_cast<const std::byte*>(w.data()), out, in}, {}, t.kernels,
                         nn::Mode::kExact);
}

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
Matrix matrix(const std::vector<float>& v, size_t rows, size_t cols) {
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             v.data(), static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(cols))
      .cast<double>();
}

TEST_CASE("swiglu against Eigen in double") {
  Bench b;
  constexpr size_t kRows = 5, kHidden = 24, kWidth = 40;
  const std::vector<float> gate = normals(kWidth * kHidden, 4), up = normals(kWidth * kHidden, 5);
  const std::vector<float> down = normals(kHidden * kWidth, 6);
  std::vector<float> n = normals(kRows * kHidden, 7), x = normals(kRows * kHidden, 8);
  const Matrix before = matrix(x, kRows, kHidden), input = matrix(n, kRows, kHidden);
  nn::SwiGlu mlp{linear(gate, kWidth, kHidden, b.t), linear(up, kWidth, kHidden, b.t),
                 linear(down, kHidden, kWidth, b.t)};
  mlp.add(b.step, {n.data(), kRows, kHidden, kHidden}, {x.data(), kRows, kHidden, kHidden});
  const Matrix g = input * matrix(gate, kWidth, kHidden).transpose();
  const Matrix silu = g.unaryExpr([](double v) { return v / (1 + std::exp(-v)); });
  const Matrix u = input * matrix(up, kWidth, kHidden).transpose();
  const Matrix inner = silu.cwiseProduct(u);
  const Matrix expected = before + inner * matrix(down, kHidden, kWidth).transpose();
  // Two sums of 24 and one of 40 terms: relative errors of (24 + 24 + 40 + 10) 2^-24 of the sums of magnitudes.
  const Matrix magnitude = input.cwiseAbs() * matrix(up, kWidth, kHidden).cwiseAbs().transpose();
  const Matrix gate_magnitude = input.cwiseAbs() * matrix(gate, kWidth, kHidden).cwiseAbs().transpose();
  const Matrix bound =
      before.cwiseAbs() + magnitude.cwiseProduct(gate_magnitude) * matrix(down, kHidden, kWidth).cwiseAbs().transpose();
  for (Eigen::Index i = 0; i < expected.rows(); ++i)
    for (Eigen::Index k = 0; k < expected.cols(); ++k) {
      const double got = wide(x[static_cast<size_t>(i) * kHidden + static_cast<size_t>(k)]);
      CHECK(std::fabs(got - expected(i, k)) <= 98 * 0x1p-24 * bound(i, k));
    }
}

// Attention in double, straight from the paper: head h of the queries uses key/value head h / (heads / kv_heads).
TEST_CASE("grouped-query attention over two stretches of tokens against a plain one in double") {
  constexpr size_t kTokens = 41, kHidden = 24, kHeads = 6, kKvHeads = 2, kDim = 8;
  for (const bool interleaved : {false, true}) {
    CAPTURE(interleaved);
    Bench b;
    const std::vector<float> wq = normals(kHeads * kDim * kHidden, 11), wk = normals(kKvHeads * kDim * kHidden, 12);
    const std::vector<float> wv = normals(kKvHeads * kDim * kHidden, 13), wo = normals(kHidden * kHeads * kDim, 14);
    nn::GqaAttention attention;
    attention.q_proj = linear(wq, kHeads * kDim, kHidden, b.t);
    attention.k_proj = linear(wk, kKvHeads * kDim, kHidden, b.t);
    attention.v_proj = linear(wv, kKvHeads * kDim, kHidden, b.t);
    attention.o_proj = linear(wo, kHidden, kHeads * kDim, b.t);
    attention.num_heads = kHeads;
    attention.num_kv_heads = kKvHeads;
    attention.head_dim = kDim;
    attention.rope_interleaved = interleaved;
    const nn::Rope rope{nn::rope_frequencies(kDim, 10000.0)};
    std::vector<float> n = normals(kTokens * kHidden, 15), x(kTokens * kHidden, 0.0f);
    for (float& f : n) f *= 0.2f;  // scores of a few units: a softmax that is neither flat nor a single one
    std::vector<float> cos(kTokens * kDim / 2), sin(cos.size());
    for (size_t i = 0; i < kTokens; ++i) rope.angles(i, cos.data() + i * kDim / 2, sin.data() + i * kDim / 2);
    nn::KvCache kv = value(nn::KvCache::make({1, kKvHeads, kDim, kDim}, nn::KvType::kF32, kTokens));
    kv.prepare(0, kTokens, 0);
    for (const auto& [first, rows] : {std::pair<size_t, size_t>{0, 38}, {38, 3}}) {
      const nn::Sequence sequence{&kv, 0, rows, first};
      const nn::Batch batch{{}, {&sequence, 1}, cos.data() + first * kDim / 2, sin.data() + first * kDim / 2};
      attention.add(b.step, {n.data() + first * kHidden, rows, kHidden, kHidden}, batch, 0,
                    {x.data() + first * kHidden, rows, kHidden, kHidden});
    }
    REQUIRE(b.step.status().ok());

    const Matrix input = matrix(n, kTokens, kHidden);
    Matrix q = input * matrix(wq, kHeads * kDim, kHidden).transpose();
    Matrix k = input * matrix(wk, kKvHeads * kDim, kHidden).transpose();
    const Matrix v = input * matrix(wv, kKvHeads * kDim, kHidden).transpose();
    const auto rotate = [&](Matrix& m, size_t heads) {
      for (size_t t = 0; t < kTokens; ++t)
        for (size_t h = 0; h < heads; ++h)
          for (size_t i = 0; i < kDim / 2; ++i) {
            const auto row = static_cast<Eigen::Index>(t), base = static_cast<Eigen::Index>(h * kDim);
            const Eigen::Index one = base + static_cast<Eigen::Index>(interleaved ? 2 * i : i);
            const Eigen::Index two = base + static_cast<Eigen::Index>(interleaved ? 2 * i + 1 : i + kDim / 2);
            const double angle = static_cast<double>(t) * wide(rope.inv_freq[i]), a = m(row, one), c = m(row, two);
            m(row, one) = a * std::cos(angle) - c * std::sin(angle);
            m(row, two) = c * std::cos(angle) + a * std::sin(angle);
          }
    };
    rotate(q, kHeads);
    rotate(k, kKvHeads);
    Matrix mixed = Matrix::Zero(kTokens, kHeads * kDim);
    for (Eigen::Index t = 0; t < static_cast<Eigen::Index>(kTokens); ++t)
      for (size_t h = 0; h < kHeads; ++h) {
        const auto at = static_cast<Eigen::Index>(h * kDim),
                   kv_at = static_cast<Eigen::Index>(h / (kHeads / kKvHeads) * kDim);
        Eigen::VectorXd score =
            k.block(0, kv_at, t + 1, kDim) * q.row(t).segment(at, kDim).transpose() / std::sqrt(8.0);
        score = (score.array() - score.maxCoeff()).exp();
        mixed.row(t).segment(at, kDim) = score.transpose() / score.sum() * v.block(0, kv_at, t + 1, kDim);
      }
    const Matrix expected = mixed * matrix(wo, kHidden, kHeads * kDim).transpose();
    // Queries, keys and values are sums of 24 terms, scores of 8, mixtures of up to 41, outputs of 48; a score's error
    // is one of its exponential. All are below 10 in magnitude: (24 + 24 + 8) 10 + 24 + 41 + 48 roundings of 48 terms.
    const double tolerance = (560 + 113) * 0x1p-24 * 48;
    for (Eigen::Index i = 0; i < expected.rows(); ++i)
      for (Eigen::Index c = 0; c < expected.cols(); ++c)
        CHECK(std::fabs(wide(x[static_cast<size_t>(i) * kHidden + static_cast<size_t>(c)]) - expected(i, c)) <=
              tolerance);
  }
}

}  // namespace
}  // namespace kette::test
