// Attention of several sequences at once: the bits of each alone, whatever their caches are of, and its memory.
#include "nn/span_attend.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "support/nn.h"

namespace kette::test {
namespace {

// New tokens of a sequence and the cache that they see, of random numbers.
struct Tokens {
  Tokens(const nn::KvShape& shape, nn::KvType type, size_t before, size_t n, const TestKernels& t)
      : kv(value(nn::KvCache::make(shape, type, before + n))), first_position(before), tokens(n) {
    kv.prepare(0, before + n, 0);
    std::mt19937 random(static_cast<uint32_t>(before + n));
    std::normal_distribution<float> normal;
    std::vector<float> row(std::max(shape.key_dim, shape.value_dim));
    const auto store = [&](size_t dim, std::byte* to) {
      for (float& f : row) f = normal(random);
      nn::store_row(*t.kernels.vector, type, row.data(), dim, to);
    };
    for (size_t i = 0; i < before + n; ++i)
      for (size_t head = 0; head < shape.heads; ++head) {
        store(shape.key_dim, kv.key(1, head, i));
        if (shape.value_dim > 0) store(shape.value_dim, kv.value(1, head, i));
      }
    q.resize(n * shape.heads * kGroup * shape.key_dim);
    for (float& f : q) f = normal(random);
  }

  static constexpr size_t kGroup = 3;

  nn::SpanAttend to(std::vector<float>& out, size_t value_dim) const {
    const size_t heads = kv.shape().heads * kGroup;
    out.assign(tokens * heads * value_dim, -1.0f);
    return {.kv = &kv,
            .layer = 1,
            .first_position = first_position,
            .tokens = tokens,
            .group = kGroup,
            .value_dim = value_dim,
            .scale = 0.3f,
            .q = q.data(),
            .q_stride = heads * kv.shape().key_dim,
            .out = out.data(),
            .out_stride = heads * value_dim};
  }

  nn::KvCache kv;
  size_t first_position, tokens;
  std::vector<float> q;
};

void attend(const TestKernels& t, std::span<const nn::SpanAttend> sequences) {
  nn::Scratch scratch{t.kernels, t.pool->width()};
  nn::Step step{*t.pool, t.kernels, nn::Mode::kFast, scratch};
  nn::attend_spans(step, sequences);
  REQUIRE(step.status().ok());
}

// As many threads as it says, none of which does anything.
struct Idle final : Executor {
  uint32_t width() const override { return 64; }
  void run(uint32_t, Task, void*) override {}
};

TEST_CASE("several sequences at once come to the bits of each alone") {
  using nn::KvType;
  const TestKernels one{1};
  // Rows of q8_0 that end within a block; values of their own, and within the keys' rows.
  for (const auto& [shape, value_dim] : {std::pair<nn::KvShape, size_t>{{2, 2, 40, 18}, 18}, {{2, 1, 50, 0}, 34}}) {
    CAPTURE(value_dim);
    std::vector<Tokens> all;
    for (const auto& [type, before, n] : {std::tuple<KvType, size_t, size_t>{KvType::kQ8_0, 1000, 1},
                                          {KvType::kF16, 0, 1},
                                          {KvType::kF32, 255, 2},
                                          {KvType::kBf16, 250, 70},
                                          {KvType::kQ8_0, 511, 9},
                                          {KvType::kF16, 767, 1}})
      all.emplace_back(shape, type, before, n, one);
    std::vector<std::vector<float>> expected(all.size()), found(all.size());
    for (size_t i = 0; i < all.size(); ++i) attend(one, std::array{all[i].to(expected[i], value_dim)});
    for (const uint32_t threads : {1u, 2u, 3u, 8u}) {
      CAPTURE(threads);
      const TestKernels t{threads};
      for (size_t from = 0; from < all.size(); ++from) {
        std::vector<nn::SpanAttend> sequences;
        for (size_t i = from; i < all.size(); ++i) sequences.push_back(all[i].to(found[i], value_dim));
        attend(t, sequences);
        for (size_t i = from; i < all.size(); ++i) CHECK(found[i] == expected[i]);
      }
    }
  }
}

// What keeps one row's threads busy must not be taken for every sequence anew: memory is planned for it once.
TEST_CASE("what spans leave for others to merge stays within one bound for all sequences together") {
  const TestKernels t{1};
  Idle idle;
  constexpr size_t kPositions = 1 << 18, kDim = 32;
  nn::KvCache kv = value(nn::KvCache::make({1, 1, kDim, 0}, nn::KvType::kQ8_0, kPositions));
  kv.prepare(0, kPositions, 0);
  std::vector<float> unused(1);
  for (const size_t sequences : {size_t{1}, size_t{2}, size_t{4}}) {
    CAPTURE(sequences);
    // As many rows as are few for so many threads: they would be shared out.
    const nn::SpanAttend attend{.kv = &kv,
                                .layer = 0,
                                .first_position = kPositions - 1,
                                .tokens = 1,
                                .group = sequences < 3 ? size_t{480} : size_t{240},
                                .value_dim = kDim,
                                .scale = 1,
                                .q = unused.data(),
                                .q_stride = 0,
                                .out = unused.data(),
                                .out_stride = 0};
    const std::vector<nn::SpanAttend> all(sequences, attend);
    nn::Scratch scratch{t.kernels, idle.width()};
    nn::Step step{idle, t.kernels, nn::Mode::kFast, scratch};
    nn::attend_spans(step, all);
    CHECK(scratch.arena.bytes() < size_t{72} << 20);
  }
}

}  // namespace
}  // namespace kette::test
