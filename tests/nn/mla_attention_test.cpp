// Latent attention against keys and values built for every head and position, in double.
#include "nn/mla_attention.h"

#include <doctest/doctest.h>

#include <Eigen/Dense>
#include <cmath>
#include <random>

#include "runtime/safe_points.h"
#include "support/model.h"

using namespace kette;
using namespace kette::nn;

namespace {

const kernels::Kernels& kernels_here() {
  static const kernels::Kernels kernels = test::value(kernels::choose_kernels(test::test_isa(), true, {}));
  return kernels;
}

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Sizes {
  size_t hidden, heads, q_latent, latent, nope, rope, value;
  bool interleaved;
};

constexpr Sizes kSizes[] = {{48, 3, 0, 34, 18, 10, 14, true}, {64, 4, 40, 32, 32, 16, 48, false}};

// An attention with random weights, whose keys' map is there in both orientations.
class RandomMla {
 public:
  RandomMla(const Sizes& s, Mode mode) : sizes(s), mode_(mode) {
    attention.num_heads = s.heads;
    attention.qk_nope_head_dim = s.nope;
    attention.qk_rope_head_dim = s.rope;
    attention.v_head_dim = s.value;
    attention.kv_lora_rank = s.latent;
    attention.softmax_scale = 1.3f / std::sqrt(static_cast<float>(s.nope + s.rope));
    attention.rope_interleaved = s.interleaved;
    const size_t q_in = s.q_latent > 0 ? s.q_latent : s.hidden;
    if (s.q_latent > 0) attention.query_latent = {linear(q_a = random(s.q_latent, s.hidden)), norm(s.q_latent)};
    attention.q_proj = linear(q = random(s.heads * (s.nope + s.rope), q_in));
    attention.kv_a_proj_with_mqa = linear(kv_a = random(s.latent + s.rope, s.hidden));
    attention.kv_a_layernorm = norm(s.latent);
    for (size_t h = 0; h < s.heads; ++h) {
      k.push_back(random(s.nope, s.latent));
      v.push_back(random(s.value, s.latent));
      attention.k_expanded.push_back(linear(k[h]));
      attention.k_absorbed.push_back(linear(k[h].transpose()));
      attention.v_proj.push_back(linear(v[h]));
    }
    attention.o_proj = linear(o = random(s.hidden, s.heads * s.value));
  }

  Floats random(size_t rows, size_t cols) {
    Floats m(rows, cols);
    for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = normal_(engine_) / std::sqrt(static_cast<float>(cols));
    return m;
  }

  const Sizes sizes;
  MlaAttention attention;
  Floats q_a, q, kv_a, o;
  std::vector<Floats> k, v;

 private:
  Linear linear(const Floats& m) {
    kept_.push_back(std::make_unique<Floats>(m));
    return make_linear({find_format("f32"), reinterpret_cast<const std::byte*>(kept_.back()->data()),
                        static_cast<size_t>(m.rows()), static_cast<size_t>(m.cols())},
                       {}, kernels_here(), mode_);
  }
  RmsNorm norm(size_t n) {
    RmsNorm norm{std::vector<float>(n), 1e-6f};
    for (float& w : norm.weight) w = 1 + 0.2f * normal_(engine_);
    return norm;
  }

  Mode mode_;
  std::mt19937 engine_{11};
  std::normal_distribution<float> normal_;
  std::vector<std::unique_ptr<Floats>> kept_;
};

float angle(size_t position, size_t i) { return static_cast<float>(position) / std::pow(3.0f, static_cast<float>(i)); }

void rotate(const Sizes& s, size_t position, Eigen::Ref<Eigen::RowVectorXd> x) {
  const Eigen::RowVectorXd before = x;
  for (size_t i = 0; i < s.rope / 2; ++i) {
    const size_t a = s.interleaved ? 2 * i : i, b = s.interleaved ? 2 * i + 1 : s.rope / 2 + i;
    const auto c = static_cast<double>(std::cos(angle(position, i))),
               d = static_cast<double>(std::sin(angle(position, i)));
    x[a] = before[a] * c - before[b] * d;
    x[b] = before[b] * c + before[a] * d;
  }
}

void apply(const RmsNorm& norm, Eigen::Ref<Eigen::RowVectorXd> x) {
  const double factor = 1 / std::sqrt(x.squaredNorm() / static_cast<double>(x.size()) + static_cast<double>(norm.eps));
  for (Eigen::Index i = 0; i < x.size(); ++i) x[i] *= factor * static_cast<double>(norm.weight[static_cast<size_t>(i)]);
}

// x + attention(normed), position by position.
Matrix plain(const RandomMla& m, const Floats& normed, const Floats& x) {
  const Sizes& s = m.sizes;
  Matrix q = normed.cast<double>();
  if (s.q_latent > 0) {
    q = Matrix(q * m.q_a.cast<double>().transpose());
    for (Eigen::Index i = 0; i < q.rows(); ++i) apply(m.attention.query_latent->q_a_layernorm, q.row(i));
  }
  q = Matrix(q * m.q.cast<double>().transpose());
  Matrix latent = normed.cast<double>() * m.kv_a.cast<double>().transpose();
  const size_t n = static_cast<size_t>(x.rows()), dim = s.nope + s.rope;
  for (size_t t = 0; t < n; ++t) {
    apply(m.attention.kv_a_layernorm, latent.row(t).head(s.latent));
    rotate(s, t, latent.row(t).tail(s.rope));
    for (size_t h = 0; h < s.heads; ++h) rotate(s, t, q.row(t).segment(h * dim + s.nope, s.rope));
  }
  Matrix heads(n, s.heads * s.value);
  for (size_t h = 0; h < s.heads; ++h) {
    Matrix keys(n, dim);
    keys << latent.leftCols(s.latent) * m.k[h].cast<double>().transpose(), latent.rightCols(s.rope);
    const Matrix values = latent.leftCols(s.latent) * m.v[h].cast<double>().transpose();
    for (size_t t = 0; t < n; ++t) {
      const Eigen::VectorXd scores = keys.topRows(t + 1) * q.row(t).segment(h * dim, dim).transpose() *
                                     static_cast<double>(m.attention.softmax_scale);
      const Eigen::VectorXd weights = (scores.array() - scores.maxCoeff()).exp();
      heads.row(t).segment(h * s.value, s.value) = weights.transpose() * values.topRows(t + 1) / weights.sum();
    }
  }
  return x.cast<double>() + heads * m.o.cast<double>().transpose();
}

// The same by MlaAttention, in stretches of `chunk` tokens.
Floats run(const RandomMla& m, MlaForm form, Mode mode, uint32_t n_threads, size_t chunk, const Floats& normed,
           Floats x, KvType type = KvType::kF32) {
  MlaAttention attention = m.attention;
  attention.form = form;
  const size_t n = static_cast<size_t>(x.rows()), half = m.sizes.rope / 2;
  const auto pool = test::value(make_thread_pool({n_threads, 20}));
  KvCache kv = test::value(KvCache::make({2, 1, m.sizes.latent + m.sizes.rope, 0}, type, n + 3));
  kv.prepare(0, n, 0);
  Scratch scratch(kernels_here(), pool->width());
  Floats in = normed;
  for (size_t at = 0; at < n; at += chunk) {
    const size_t rows = std::min(chunk, n - at);
    std::vector<float> cos(rows * half), sin(rows * half);
    for (size_t i = 0; i < rows * half; ++i) {
      cos[i] = std::cos(angle(at + i / half, i % half));
      sin[i] = std::sin(angle(at + i / half, i % half));
    }
    const Sequence sequence{&kv, 0, rows, at};
    const Batch batch{{}, {&sequence, 1}, cos.data(), sin.data()};
    Step step(*pool, kernels_here(), mode, scratch);
    attention.add(step, {in.row(at).data(), rows, m.sizes.hidden, m.sizes.hidden}, batch, 1,
                  {x.row(at).data(), rows, m.sizes.hidden, m.sizes.hidden});
    test::ok(step.status());
  }
  return x;
}

double largest_difference(const Floats& a, const Matrix& b) { return (a.cast<double>() - b).cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("both forms of latent attention are the attention of every head's own keys and values") {
  for (const Sizes& s : kSizes) {
    RandomMla m(s, Mode::kExact);
    const size_t n = 700;  // several spans, and more than one block of the expanded form
    const Floats normed = m.random(n, s.hidden) * 4, x = m.random(n, s.hidden);
    const Matrix expected = plain(m, normed, x);
    // Sums of at most a few hundred terms of size 1 in float: 2^-24 times their number, and some room.
    for (const size_t chunk : {size_t{700}, size_t{130}})
      for (const MlaForm form : {MlaForm::kAbsorbed, MlaForm::kExpanded}) {
        CAPTURE(chunk);
        CAPTURE(static_cast<int>(form));
        CHECK(largest_difference(run(m, form, Mode::kExact, 2, chunk, normed, x), expected) < 3e-5);
      }
    RandomMla fast(s, Mode::kFast);
    CHECK(largest_difference(run(fast, MlaForm::kChosen, Mode::kFast, 2, 300, normed, x), expected) < 2e-2);
  }
}

TEST_CASE("both forms read the same numbers out of a cache of any type") {
  for (const Sizes& s : kSizes)
    for (const KvType type : {KvType::kF16, KvType::kBf16, KvType::kQ8_0}) {
      CAPTURE(static_cast<int>(type));
      RandomMla m(s, Mode::kExact);
      const size_t n = 600;
      const Floats normed = m.random(n, s.hidden) * 4, x = m.random(n, s.hidden);
      const Floats absorbed = run(m, MlaForm::kAbsorbed, Mode::kExact, 2, 600, normed, x, type);
      const Floats expanded = run(m, MlaForm::kExpanded, Mode::kExact, 2, 600, normed, x, type);
      CHECK(largest_difference(expanded, absorbed.cast<double>()) < 3e-5);
      CHECK(largest_difference(expanded, plain(m, normed, x)) > 1e-4);  // they are rounded
    }
}

TEST_CASE("latent attention gives the same bits for any threads, and any cut of a prompt where it promises that") {
  const Sizes& s = kSizes[1];
  for (const Mode mode : {Mode::kExact, Mode::kDeterministic, Mode::kFast}) {
    RandomMla m(s, mode);
    const size_t n = 530;
    const Floats normed = m.random(n, s.hidden) * 4, x = m.random(n, s.hidden);
    for (const MlaForm form : {MlaForm::kChosen, MlaForm::kExpanded}) {
      const Floats once = run(m, form, mode, 1, 512, normed, x);
      for (const uint32_t n_threads : {2u, 3u, 4u, 8u}) CHECK(run(m, form, mode, n_threads, 512, normed, x) == once);
      if (mode == Mode::kFast || form == MlaForm::kExpanded) continue;
      // Single tokens far in the context share it out over threads; long stretches do not.
      for (const size_t chunk : {1, 7, 100}) CHECK(run(m, form, mode, 8, chunk, normed, x) == once);
    }
  }
}

TEST_CASE("the absorbed form takes several sequences at once, cut wherever its stretches end") {
  const Sizes s{32, 300, 0, 34, 10, 6, 8, true};  // so many heads that a stretch has few rows
  RandomMla m(s, Mode::kDeterministic);
  const size_t half = s.rope / 2;
  struct Part {
    size_t before, n;  // tokens
    Floats normed, x, expected;
    KvCache kv;
  };
  std::vector<Part> parts;
  for (const auto& [before, n] : {std::pair<size_t, size_t>{0, 9}, {7, 11}, {300, 1}, {250, 30}, {3, 1}}) {
    KvCache kv = test::value(KvCache::make({2, 1, s.latent + s.rope, 0}, KvType::kF32, before + n));
    parts.push_back({before, n, m.random(before + n, s.hidden) * 4, m.random(before + n, s.hidden), {}, std::move(kv)});
    Part& p = parts.back();
    p.expected = run(m, MlaForm::kAbsorbed, Mode::kDeterministic, 1, 512, p.normed, p.x);
  }
  const auto pool = test::value(make_thread_pool({3, 20}));
  Scratch scratch(kernels_here(), pool->width());
  // All that comes before, then what is new.
  for (const bool last : {false, true}) {
    std::vector<Sequence> sequences;
    Floats in(0, s.hidden), out(0, s.hidden);
    std::vector<float> cos, sin;
    for (Part& p : parts) {
      const size_t from = last ? p.before : 0, n = last ? p.n : p.before, row = static_cast<size_t>(in.rows());
      if (n == 0) continue;
      p.kv.prepare(from, from + n, from);
      sequences.push_back({&p.kv, row, n, from});
      in.conservativeResize(in.rows() + static_cast<Eigen::Index>(n), Eigen::NoChange);
      out.conservativeResize(in.rows(), Eigen::NoChange);
      in.bottomRows(n) = p.normed.middleRows(from, n);
      out.bottomRows(n) = p.x.middleRows(from, n);
      for (size_t i = 0; i < n * half; ++i) {
        cos.push_back(std::cos(angle(from + i / half, i % half)));
        sin.push_back(std::sin(angle(from + i / half, i % half)));
      }
    }
    const Batch batch{{}, sequences, cos.data(), sin.data()};
    const auto all = static_cast<size_t>(in.rows());
    Step step(*pool, kernels_here(), Mode::kDeterministic, scratch);
    m.attention.add(step, {in.data(), all, s.hidden, s.hidden}, batch, 1, {out.data(), all, s.hidden, s.hidden});
    test::ok(step.status());
    for (size_t i = 0; last && i < parts.size(); ++i) {
      CAPTURE(i);
      CHECK(out.middleRows(sequences[i].first_row, parts[i].n) == parts[i].expected.bottomRows(parts[i].n));
    }
  }
}

TEST_CASE("latent attention that stops after every piece of work and goes on comes to the same bits") {
  const Sizes& s = kSizes[1];
  RandomMla m(s, Mode::kFast);
  const size_t n = 40, half = s.rope / 2;
  const Floats normed = m.random(n, s.hidden) * 4, x = m.random(n, s.hidden);
  for (const MlaForm form : {MlaForm::kAbsorbed, MlaForm::kExpanded}) {
    const Floats expected = run(m, form, Mode::kFast, 2, n, normed, x);
    MlaAttention attention = m.attention;
    attention.form = form;
    const auto pool = test::value(make_thread_pool({2, 20}));
    SafePoints points(*pool);
    points.arm(Clock::now(), nullptr);
    KvCache kv = test::value(KvCache::make({1, 1, s.latent + s.rope, 0}, KvType::kF32, n));
    kv.prepare(0, n, 0);
    Scratch scratch(kernels_here(), pool->width());
    scratch.arena.hold(true);
    Floats in = normed, out = x;
    std::vector<float> cos(n * half), sin(n * half);
    for (size_t i = 0; i < n * half; ++i) {
      cos[i] = std::cos(angle(i / half, i % half));
      sin[i] = std::sin(angle(i / half, i % half));
    }
    const Sequence sequence{&kv, 0, n, 0};
    const Batch batch{{}, {&sequence, 1}, cos.data(), sin.data()};
    size_t stops = 0;
    points.begin_part();
    for (bool done = false; !done;) {
      scratch.arena.rewind();
      Step step(points, kernels_here(), Mode::kFast, scratch);
      try {
        attention.add(step, {in.data(), n, s.hidden, s.hidden}, batch, 0, {out.data(), n, s.hidden, s.hidden});
        done = true;
      } catch (const Interrupted& interrupted) {
        REQUIRE_FALSE(interrupted.lost);
        points.resume_part();
        ++stops;
      }
    }
    CHECK(stops > 10);
    CHECK(out == expected);
  }
}
