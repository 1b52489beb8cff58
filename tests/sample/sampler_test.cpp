// The sampler against a plain one that sorts, sums in double and says which tokens may be drawn with what probability.
#include "sample/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace kette {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What may be drawn, by token, and how close to a decision the nearest candidate was: with less than the rounding of
// float weights between them, the two samplers may rightly differ.
struct Choice {
  std::map<int32_t, double> probability;
  double margin = 1.0;
};

std::vector<float> adjusted(const Sampling& s, std::vector<float> x, const std::vector<int32_t>& history) {
  for (const auto& [token, bias] : s.logit_bias) x[static_cast<size_t>(token)] += bias;
  const size_t n = history.size();
  const size_t window = s.penalty_window < 0 ? n : std::min(n, static_cast<size_t>(s.penalty_window));
  std::map<int32_t, int> count;
  for (size_t i = n - window; i < n; ++i) ++count[history[i]];
  for (const auto& [token, times] : count) {
    float& logit = x[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    logit -= s.presence_penalty + s.frequency_penalty * static_cast<float>(times);
  }
  return x;
}

Choice reference(const Sampling& s, const std::vector<float>& logits, const std::vector<int32_t>& history = {}) {
  const std::vector<float> x = adjusted(s, logits, history);
  std::vector<int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](int32_t token) { return static_cast<double>(x[static_cast<size_t>(token)]); };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  Choice choice;
  if (s.temperature == 0) return choice.probability[order[0]] = 1, choice;
  if (s.top_k > 0 && static_cast<size_t>(s.top_k) < order.size()) order.resize(static_cast<size_t>(s.top_k));
  std::vector<double> weight;
  for (const int32_t token : order)
    weight.push_back(std::exp((logit(token) - logit(order[0])) / static_cast<double>(s.temperature)));
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  size_t kept = order.size();
  if (s.top_p < 1) {
    double sum = 0;
    for (kept = 0; kept < order.size() && (kept == 0 || sum < static_cast<double>(s.top_p) * total); ++kept) {
      sum += weight[kept];
      choice.margin = std::min(choice.margin, std::fabs(sum / total - static_cast<double>(s.top_p)));
    }
  }
  double mass = 0;
  for (size_t i = 0; i < kept; ++i) {
    if (s.min_p > 0 && weight[i] < 1)
      choice.margin = std::min(choice.margin, std::fabs(weight[i] / static_cast<double>(s.min_p) - 1));
    if (weight[i] >= static_cast<double>(s.min_p) && weight[i] > 0) mass += choice.probability[order[i]] = weight[i];
  }
  for (auto& [token, p] : choice.probability) p /= mass;
  return choice;
}

int32_t draw(Sampler& sampler, const std::vector<float>& logits) {
  const auto token = sampler.sample(logits);
  REQUIRE(token.ok());
  return *token;
}

std::vector<float> random_logits(std::mt19937& random, size_t n, int kind) {
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& f : x) {
    f = 3 * normal(random);
    if (kind == 1) f = std::round(f);                    // many equals, both zeros
    if (kind == 2 && random() % 3 != 0) f = -kInfinity;  // many excluded
    if (kind == 3) f = 0;                                // all equal
    if (kind == 4) f *= 1e6f;                            // weights that are 0
  }
  if (kind == 2) x[random() % n] = 1;
  return x;
}

// The token that one random number chooses: candidates in the order of their tokens. -1 if it is near a boundary.
int32_t expected_draw(const Choice& choice, double uniform) {
  double sum = 0;
  for (const auto& [token, p] : choice.probability) {
    sum += p;
    if (std::fabs(sum - uniform) < 1e-5) return -1;
    if (uniform < sum) return token;
  }
  return -1;
}

TEST_CASE("every combination of steps draws what the plain sampler draws") {
  std::mt19937 random(1);
  size_t compared = 0;
  for (const size_t n : {1, 2, 63, 64, 65, 1000, 5003}) {
    for (int round = 0; round < 150; ++round) {
      Sampling s;
      s.seed = random();
      const auto one_of = [&](std::initializer_list<float> values) { return values.begin()[random() % values.size()]; };
      s.temperature = one_of({0, 0.3f, 1, 1.7f});
      s.top_p = one_of({1, 1, 0, 0.1f, 0.5f, 0.9f, 0.999f});
      s.min_p = one_of({0, 0, 0.01f, 0.3f, 1});
      s.top_k = static_cast<int32_t>(one_of({0, 0, 1, 2, 40, 64, 700, 100000}));
      s.repetition_penalty = one_of({1, 1, 1.3f, 0.7f});
      s.presence_penalty = one_of({0, 0, 1, -1});
      s.frequency_penalty = one_of({0, 0, 0.5f});
      s.penalty_window = static_cast<int32_t>(one_of({-1, 0, 1, 10}));
      for (uint32_t i = random() % 4; i > 0; --i)
        s.logit_bias.emplace_back(random() % n, one_of({-5, 5, 0.5f, -1e30f}));
      REQUIRE(validate(s, static_cast<int32_t>(n)).ok());
      const std::vector<float> logits = random_logits(random, n, round % 5);
      std::vector<int32_t> history(random() % 30);
      Sampler sampler(s, static_cast<int32_t>(n));
      for (int32_t& token : history) sampler.accept(token = static_cast<int32_t>(random() % n));
      const Choice choice = reference(s, logits, history);
      if (choice.margin < 1e-5) continue;
      CAPTURE(n);
      CAPTURE(round);
      Random numbers(s.seed);
      for (int i = 0; i < 4; ++i) {
        const int32_t token = draw(sampler, logits);
        const int32_t expected =
            s.temperature == 0 ? choice.probability.begin()->first : expected_draw(choice, numbers.uniform());
        CHECK(choice.probability.contains(token));
        if (expected >= 0) CHECK(token == expected);
        compared += expected >= 0;
      }
    }
  }
  CHECK(compared > 3000);
}

// Pearson's statistic of `draws` draws is below df + 5 sqrt(2 df) + 10 but for one seed in a million.
TEST_CASE("draws have the probabilities of the softmax") {
  std::mt19937 random(2);
  const std::vector<float> logits = random_logits(random, 50, 0);
  constexpr int kDraws = 200'000;
  for (const float top_p : {1.0f, 0.95f}) {  // both ways of drawing: from all tokens, from candidates
    Sampling s;
    s.temperature = 3.0f;
    s.top_p = top_p;
    s.seed = 42;
    Sampler sampler(s, 50);
    std::map<int32_t, int> count;
    for (int i = 0; i < kDraws; ++i) ++count[draw(sampler, logits)];
    double statistic = 0;
    int bins = 0;
    for (const auto& [token, p] : reference(s, logits).probability) {
      const double expected = p * kDraws;
      if (expected < 5) continue;
      statistic += (count[token] - expected) * (count[token] - expected) / expected;
      ++bins;
    }
    CHECK(bins > 10);
    CHECK(statistic < bins - 1 + 5 * std::sqrt(2.0 * (bins - 1)) + 10);
  }
}

TEST_CASE("the same seed gives the same tokens, another seed others") {
  std::mt19937 random(3);
  const std::vector<float> logits = random_logits(random, 1000, 0);
  const auto tokens = [&](uint64_t seed) {
    Sampling s;
    s.seed = seed;
    Sampler sampler(s, 1000);
    std::vector<int32_t> out;
    for (int i = 0; i < 50; ++i) sampler.accept(out.emplace_back(draw(sampler, logits)));
    return out;
  };
  CHECK(tokens(7) == tokens(7));
  CHECK(tokens(7) != tokens(8));
}

TEST_CASE("the logits are left as they are, and penalties follow the window") {
  Sampling s;
  s.temperature = 0;
  s.presence_penalty = 10;
  s.penalty_window = 2;
  Sampler sampler(s, 4);
  const std::vector<float> logits{4, 3, 2, 1};
  std::vector<int32_t> out;
  for (int i = 0; i < 7; ++i) sampler.accept(out.emplace_back(draw(sampler, logits)));
  CHECK(out == std::vector<int32_t>{0, 1, 2, 0, 1, 2, 0});
  CHECK(logits == std::vector<float>{4, 3, 2, 1});
  sampler.accept(-1);
  sampler.accept(4);  // not of the vocabulary: no effect
  CHECK(draw(sampler, logits) == 1);
}

TEST_CASE("logits that are no numbers are an error that names the token, and use up no random number") {
  for (const float bad : {std::nanf(""), -std::nanf(""), kInfinity}) {
    for (const size_t n : {1, 64, 100}) {
      Sampling s;
      s.seed = 5;
      Sampler sampler(s, static_cast<int32_t>(n)), untouched(s, static_cast<int32_t>(n));
      std::mt19937 random(4);
      std::vector<float> logits = random_logits(random, n, 0);
      const std::vector<float> good = logits;
      logits[n - 1] = bad;
      const auto refused = sampler.sample(logits);
      CHECK(refused.status().code() == Code::kNumeric);
      CHECK(refused.status().message().find("token " + std::to_string(n - 1) + " ") != std::string::npos);
      for (int i = 0; i < 10; ++i) CHECK(draw(sampler, good) == draw(untouched, good));
    }
  }
  Sampler sampler({}, 3);
  CHECK(sampler.sample(std::vector<float>(3, -kInfinity)).status().code() == Code::kNumeric);
  CHECK(sampler.sample(std::vector<float>(2, 0.0f)).status().code() == Code::kInvalidArgument);
}

TEST_CASE("parameters outside their range are refused by name") {
  const auto refused = [](const char* field, auto change) {
    Sampling s;
    change(s);
    const Status status = validate(s, 10);
    CHECK(status.code() == Code::kInvalidArgument);
    CHECK(status.message().find(field) != std::string::npos);
  };
  for (const float bad : {-0.1f, 1e9f, std::nanf("")}) {
    refused("temperature", [&](Sampling& s) { s.temperature = bad; });
    refused("top_p", [&](Sampling& s) { s.top_p = bad; });
    refused("min_p", [&](Sampling& s) { s.min_p = bad; });
    refused("repetition_penalty", [&](Sampling& s) { s.repetition_penalty = bad; });
    refused("presence_penalty", [&](Sampling& s) { s.presence_penalty = bad * 1e6f; });
    refused("frequency_penalty", [&](Sampling& s) { s.frequency_penalty = bad * 1e6f; });
  }
  refused("top_k", [](Sampling& s) { s.top_k = -1; });
  refused("penalty_window", [](Sampling& s) { s.penalty_window = -2; });
  refused("logit_bias[1]", [](Sampling& s) { s.logit_bias = {{9, 0.0f}, {10, 0.0f}}; });
  refused("logit_bias[0]", [](Sampling& s) { s.logit_bias = {{-1, 0.0f}}; });
  refused("logit_bias[0]", [](Sampling& s) { s.logit_bias = {{1, kInfinity}}; });
  CHECK(validate({}, 10).ok());
}

}  // namespace
}  // namespace kette
