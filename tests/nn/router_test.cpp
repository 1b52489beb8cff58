// The router against the definition written another way: sort everything, then take from the front.
#include "nn/router.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

using namespace kette::nn;

namespace {

// Indices of x, largest first, equals in order, not a number before all.
std::vector<size_t> ranking(const std::vector<double>& x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (std::isnan(x[a]) || std::isnan(x[b])) return std::isnan(x[a]) && !std::isnan(x[b]);
    return x[a] > x[b];
  });
  return order;
}

struct Expected {
  std::vector<size_t> experts;
  std::vector<double> weights;
};

Expected brute_force(const Router& router, const std::vector<float>& logits) {
  const Routing& r = router.routing;
  std::vector<double> scores(logits.begin(), logits.end());
  if (r.scores == RouterScores::kSoftmax) {
    double sum = 0;
    for (const double x : scores) sum += std::exp(x);
    for (double& x : scores) x = std::exp(x) / sum;
  } else {
    for (double& x : scores) x = 1 / (1 + std::exp(-x));
  }
  std::vector<double> rank = scores;
  for (size_t i = 0; i < router.e_score_correction_bias.size(); ++i)
    rank[i] += static_cast<double>(router.e_score_correction_bias[i]);
  const size_t size = rank.size() / r.n_group;
  std::vector<double> groups;
  for (size_t g = 0; g < r.n_group; ++g) {
    std::vector<double> group(rank.begin() + static_cast<ptrdiff_t>(g * size),
                              rank.begin() + static_cast<ptrdiff_t>((g + 1) * size));
    std::sort(group.rbegin(), group.rend());
    groups.push_back(std::accumulate(group.begin(), group.begin() + static_cast<ptrdiff_t>(r.group_experts), 0.0));
  }
  const std::vector<size_t> group_order = ranking(groups);
  const std::set<size_t> allowed(group_order.begin(), group_order.begin() + static_cast<ptrdiff_t>(r.topk_group));
  Expected expected;
  double sum = 0;
  for (const size_t e : ranking(rank)) {
    if (!allowed.contains(e / size)) continue;
    if (expected.experts.size() == r.num_experts_per_tok) break;
    expected.experts.push_back(e);
    expected.weights.push_back(scores[e]);
    sum += scores[e];
  }
  for (double& w : expected.weights) {
    if (r.norm_topk_prob) w /= sum + static_cast<double>(r.norm_epsilon);
    w *= static_cast<double>(r.routed_scaling_factor);
  }
  return expected;
}

Router make_router(size_t num_experts, const Routing& routing) {
  Router router;
  router.gate.weight.rows = num_experts;
  router.routing = routing;
  return router;
}

std::vector<Choice> choose(const Router& router, const std::vector<float>& logits) {
  std::vector<Choice> chosen(router.routing.num_experts_per_tok, {~0u, -1});
  router.choose(logits.data(), chosen.data());
  return chosen;
}

// Quarters: numbers either differ by more than rounding does, or are equal.
std::vector<float> quarters(std::mt19937& random, size_t n, int most) {
  std::vector<float> x(n);
  for (float& v : x)
    v = static_cast<float>(static_cast<int>(random() % (2 * static_cast<unsigned>(most) + 1)) - most) / 4;
  return x;
}

}  // namespace

TEST_CASE("router: experts and weights as the definition has them") {
  std::mt19937 random(1);
  const Routing cases[] = {
      {.num_experts_per_tok = 1},
      {.num_experts_per_tok = 4},                                                              // Qwen1.5-MoE
      {.num_experts_per_tok = 8, .norm_topk_prob = true},                                      // Qwen3-MoE
      {.num_experts_per_tok = 6, .n_group = 8, .topk_group = 3, .routed_scaling_factor = 16},  // DeepSeek-V2
      {.num_experts_per_tok = 8,
       .scores = RouterScores::kSigmoid,
       .n_group = 8,
       .topk_group = 4,
       .group_experts = 2,
       .norm_topk_prob = true,
       .norm_epsilon = 1e-20f,
       .routed_scaling_factor = 2.5f},  // DeepSeek-V3
      {.num_experts_per_tok = 2, .scores = RouterScores::kSigmoid, .n_group = 4, .topk_group = 1},
  };
  for (const Routing& routing : cases) {
    for (const size_t num_experts : {size_t{64}, size_t{8 * routing.n_group}, size_t{256}, kMaxExperts}) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        Router router = make_router(num_experts, routing);
        // Few different values: ties. Many: none.
        const std::vector<float> logits = quarters(random, num_experts, repeat % 2 == 0 ? 3 : 40);
        // Not with softmax: its smallest scores would vanish beside a bias.
        if (repeat % 4 >= 2 && routing.scores == RouterScores::kSigmoid)
          router.e_score_correction_bias = quarters(random, num_experts, 4);
        const Expected expected = brute_force(router, logits);
        const std::vector<Choice> chosen = choose(router, logits);
        for (size_t i = 0; i < chosen.size(); ++i) {
          REQUIRE(chosen[i].expert == expected.experts[i]);
          CHECK(static_cast<double>(chosen[i].weight) == doctest::Approx(expected.weights[i]).epsilon(1e-5));
        }
      }
    }
  }
}

TEST_CASE("router: the correction bias chooses and does not weigh") {
  Router router = make_router(4, {.num_experts_per_tok = 2, .scores = RouterScores::kSigmoid});
  router.e_score_correction_bias = {0, 0, 0, 10};
  const auto chosen = choose(router, {3, 2, 1, 0});
  CHECK(chosen[0].expert == 3);
  CHECK(chosen[0].weight == 0.5f);
  CHECK(chosen[1].expert == 0);
}

TEST_CASE("router: of equal scores the first experts are chosen") {
  for (const RouterScores scores : {RouterScores::kSoftmax, RouterScores::kSigmoid}) {
    const Router router = make_router(16, {.num_experts_per_tok = 4, .scores = scores, .n_group = 4, .topk_group = 2});
    const auto chosen = choose(router, std::vector<float>(16, 1.0f));
    for (uint32_t i = 0; i < 4; ++i) CHECK(chosen[i].expert == i);
  }
}

TEST_CASE("router: numbers that are none choose different experts all the same, and show in the weights") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  std::mt19937 random(2);
  const float odd[] = {kNan, kInf, -kInf, 3e38f, -3e38f, 0};
  for (const RouterScores scores : {RouterScores::kSoftmax, RouterScores::kSigmoid}) {
    for (const size_t groups : {1, 4}) {
      const Router router = make_router(32, {.num_experts_per_tok = 8,
                                             .scores = scores,
                                             .n_group = groups,
                                             .topk_group = (groups + 1) / 2,
                                             .group_experts = 2,
                                             .norm_topk_prob = true});
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::vector<float> logits = quarters(random, 32, 8);
        for (int i = 0; i < repeat; ++i) logits[random() % 32] = odd[random() % 6];
        std::set<uint32_t> experts;
        for (const Choice& c : choose(router, logits)) {
          REQUIRE(c.expert < 32);
          experts.insert(c.expert);
        }
        CHECK(experts.size() == 8);
      }
      const auto spoilt = choose(router, std::vector<float>(32, kNan));
      for (const Choice& c : spoilt) CHECK(std::isnan(c.weight));
    }
  }
  // One score that is no number is chosen first, so that the token's result is none either.
  const Router sigmoid = make_router(4, {.num_experts_per_tok = 2, .scores = RouterScores::kSigmoid});
  const auto chosen = choose(sigmoid, {1, 9, kNan, 0});
  CHECK(chosen[0].expert == 2);
  CHECK(std::isnan(chosen[0].weight));
  CHECK(chosen[1].expert == 1);
}
