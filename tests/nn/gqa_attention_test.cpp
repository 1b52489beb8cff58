// Grouped-query attention over contexts of several spans: its values, and the same bits however the work is shared out.
#include "nn/gqa_attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "support/nn.h"

namespace kette::test {
namespace {

constexpr size_t kHidden = 16, kDim = 8, kTokens = 600;

std::vector<float> normals(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& f : out) f = normal(random);
  return out;
}

// Weights of a layer, all plain floats.
struct Weights {
  size_t heads, kv_heads;
  std::vector<float> q, k, v, o, normed;
  Weights(size_t heads_, size_t kv_heads_)
      : heads(heads_),
        kv_heads(kv_heads_),
        q(normals(heads * kDim * kHidden, 1)),
        k(normals(kv_heads * kDim * kHidden, 2)),
        v(normals(kv_heads * kDim * kHidden, 3)),
        o(normals(kHidden * heads * kDim, 4)),
        normed(normals(kTokens * kHidden, 5)) {
    for (float& f : normed) f *= 0.2f;
  }
};

// What the layer adds to zeros, with `chunk` tokens a pass. Angles are 0: rotation has tests of its own.
std::vector<float> run(const Weights& w, nn::Mode mode, nn::KvType type, uint32_t threads, size_t chunk) {
  const TestKernels t{threads};
  nn::Scratch scratch{t.kernels, t.pool->width()};
  const auto linear = [&](const std::vector<float>& weight, size_t out, size_t in) {
    return nn::make_linear({find_format("f32"), reinterpret_cast<const std::byte*>(weight.data()), out, in}, {},
                           t.kernels, mode);
  };
  nn::GqaAttention attention;
  attention.q_proj = linear(w.q, w.heads * kDim, kHidden);
  attention.k_proj = linear(w.k, w.kv_heads * kDim, kHidden);
  attention.v_proj = linear(w.v, w.kv_heads * kDim, kHidden);
  attention.o_proj = linear(w.o, kHidden, w.heads * kDim);
  attention.num_heads = w.heads;
  attention.num_kv_heads = w.kv_heads;
  attention.head_dim = kDim;
  const std::vector<float> cos(kTokens * kDim / 2, 1.0f), sin(cos.size(), 0.0f);
  std::vector<float> in = w.normed, x(kTokens * kHidden, 0.0f);
  nn::KvCache kv = value(nn::KvCache::make({2, w.kv_heads, kDim, kDim}, type, kTokens));
  kv.prepare(0, kTokens, 0);
  for (size_t first = 0; first < kTokens; first += chunk) {
    const size_t rows = std::min(chunk, kTokens - first);
    const nn::Sequence sequence{&kv, 0, rows, first};
    const nn::Batch batch{{}, {&sequence, 1}, cos.data(), sin.data()};
    nn::Step step{*t.pool, t.kernels, mode, scratch};
    attention.add(step, {in.data() + first * kHidden, rows, kHidden, kHidden}, batch, 1,
                  {x.data() + first * kHidden, rows, kHidden, kHidden});
    REQUIRE(step.status().ok());
  }
  return x;
}

std::vector<double> project(const std::vector<float>& weight, const std::vector<float>& x, size_t out) {
  std::vector<double> y(kTokens * out);
  for (size_t t = 0; t < kTokens; ++t)
    for (size_t i = 0; i < out; ++i)
      for (size_t c = 0; c < kHidden; ++c)
        y[t * out + i] += static_cast<double>(weight[i * kHidden + c]) * static_cast<double>(x[t * kHidden + c]);
  return y;
}

std::vector<double> plain(const Weights& w) {
  const size_t wide = w.heads * kDim, narrow = w.kv_heads * kDim;
  const auto q = project(w.q, w.normed, wide), k = project(w.k, w.normed, narrow), v = project(w.v, w.normed, narrow);
  std::vector<double> x(kTokens * kHidden);
  for (size_t t = 0; t < kTokens; ++t)
    for (size_t h = 0; h < w.heads; ++h) {
      const size_t kv_at = h / (w.heads / w.kv_heads) * kDim;
      std::vector<double> weight(t + 1);
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) {
        double score = 0;
        for (size_t d = 0; d < kDim; ++d) score += q[t * wide + h * kDim + d] * k[s * narrow + kv_at + d];
        sum += weight[s] = std::exp(score / std::sqrt(8.0));
      }
      for (size_t d = 0; d < kDim; ++d) {
        double mixed = 0;
        for (size_t s = 0; s <= t; ++s) mixed += weight[s] / sum * v[s * narrow + kv_at + d];
        for (size_t i = 0; i < kHidden; ++i)
          x[t * kHidden + i] += mixed * static_cast<double>(w.o[i * wide + h * kDim + d]);
      }
    }
  return x;
}

double largest_difference(const std::vector<float>& a, const std::vector<double>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(static_cast<double>(a[i]) - b[i]));
  return most;
}

TEST_CASE("grouped-query attention over several spans is that of one softmax") {
  for (const auto& [heads, kv_heads] : {std::pair<size_t, size_t>{6, 2}, {3, 3}, {4, 1}}) {
    const Weights w(heads, kv_heads);
    const std::vector<double> expected = plain(w);
    // Sums of a few hundred terms of size 1 in float: 2^-24 times their number, and some room.
    for (const size_t chunk : {size_t{600}, size_t{130}, size_t{1}})
      CHECK(largest_difference(run(w, nn::Mode::kExact, nn::KvType::kF32, 2, chunk), expected) < 3e-5);
    // Outputs are sums of heads * kDim mixed values of size 0.8 or less: of bfloat16 each errs by 2^-9 of itself, of
    // q8_0 by 1/254 of its block's largest, and the weights of the mixture by as much.
    for (const nn::KvType type : {nn::KvType::kF16, nn::KvType::kBf16, nn::KvType::kQ8_0}) {
      const double error = largest_difference(run(w, nn::Mode::kExact, type, 2, 130), expected);
      CHECK(error > 1e-6);
      CHECK(error < (type == nn::KvType::kF16 ? 0.005 : 0.05));
    }
  }
}

TEST_CASE("grouped-query attention gives the same bits for any threads and any cut of a prompt") {
  for (const auto& [heads, kv_heads] : {std::pair<size_t, size_t>{6, 2}, {4, 1}, {9, 3}}) {
    const Weights w(heads, kv_heads);
    for (const nn::KvType type : {nn::KvType::kF32, nn::KvType::kBf16, nn::KvType::kQ8_0}) {
      const std::vector<float> once = run(w, nn::Mode::kDeterministic, type, 1, 512);
      for (const uint32_t threads : {2u, 3u, 8u})
        for (const size_t chunk : {1, 7, 100, 512}) {
          CAPTURE(threads);
          CAPTURE(chunk);
          CHECK(run(w, nn::Mode::kDeterministic, type, threads, chunk) == once);
        }
    }
  }
}

}  // namespace
}  // namespace kette::test
