// The demo model (SmolLM2-135M-Instruct, Q4_1) against the same weights run in float32 by transformers: of each
// position of three prompts the 64 likeliest tokens and their log-probabilities, and 48 greedy tokens.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/golden.h"
#include "support/model.h"

namespace kette::test {
namespace {

#ifdef KETTE_DEMO_MODEL

constexpr size_t kTop = 64;

struct Prompt {
  std::vector<Token> ids, greedy;
  std::vector<int32_t> top_ids;     // [ids][kTop], likeliest first
  std::vector<float> top_logprobs;  // [ids][kTop]
};

std::vector<Prompt> prompts() {
  const std::filesystem::path folder = golden_roots()[0] / "smollm2";
  std::vector<Prompt> out;
  for (const auto& item : nlohmann::json::parse(read_file(folder / "smol_open.json"))) {
    const std::string file = "smol_open_" + std::to_string(out.size());
    out.push_back({item["ids"], item["greedy"], load_npy(folder / (file + ".top_ids.npy")).as<int32_t>("<i4"),
                   load_npy(folder / (file + ".top_logprobs.npy")).floats()});
    REQUIRE(out.back().top_ids.size() == out.back().ids.size() * kTop);
  }
  REQUIRE(out.size() == 3);
  return out;
}

struct Distance {
  double kl = 0;       // mean over positions of the sum over the top 64 of p (log p - log q)
  size_t same = 0;     // positions with the reference's likeliest token
  double largest = 0;  // difference of a log-probability
};

Distance compare(const Prompt& p, std::span<const float> logits) {
  const size_t vocab_size = logits.size() / p.ids.size();
  const auto positions = static_cast<double>(p.ids.size());
  Distance d;
  for (size_t i = 0; i < p.ids.size(); ++i) {
    const auto row = logits.subspan(i * vocab_size, vocab_size);
    const int32_t best = argmax(row);
    const auto largest = static_cast<double>(row[static_cast<size_t>(best)]);
    double sum = 0;
    for (const float x : row) sum += std::exp(static_cast<double>(x) - largest);
    const double normalizer = largest + std::log(sum);
    for (size_t k = 0; k < kTop; ++k) {
      const auto log_p = static_cast<double>(p.top_logprobs[i * kTop + k]);
      const double log_q = static_cast<double>(row[static_cast<size_t>(p.top_ids[i * kTop + k])]) - normalizer;
      d.kl += std::exp(log_p) * (log_p - log_q) / positions;
      d.largest = std::isnan(log_q) ? INFINITY : std::max(d.largest, std::fabs(log_p - log_q));
    }
    d.same += best == p.top_ids[i * kTop];
  }
  return d;
}

TEST_CASE("exact mode agrees with float32 to rounding, and in every greedy token") {
  const auto loaded = open_model(KETTE_DEMO_MODEL, nn::Mode::kExact);
  for (const Prompt& p : prompts()) {
    CAPTURE(p.ids.size());
    const auto session = open_session(loaded);
    // All in one pass: in exact mode one token at a time takes the same sums (models/golden_test).
    std::vector<Token> all = p.ids;
    all.insert(all.end(), p.greedy.begin(), p.greedy.end() - 1);
    const std::vector<float> logits = eval_all(*session, all);
    const size_t vocab_size = logits.size() / all.size();
    const Distance d = compare(p, std::span(logits).first(p.ids.size() * vocab_size));
    MESSAGE("exact: largest difference ", d.largest, ", KL ", d.kl);
    // The sums of 30 layers in another order; the goldens' own float32 noise is of that size.
    CHECK(d.largest <= 2e-3);
    CHECK(d.same == p.ids.size());
    for (size_t i = 0; i < p.greedy.size(); ++i) {
      CAPTURE(i);
      CHECK(argmax(std::span(logits).subspan((p.ids.size() - 1 + i) * vocab_size, vocab_size)) == p.greedy[i]);
    }
  }
}

// Fast mode's integer activations. llama.cpp 0.3.36, whose activations are always such, has on these prompts in one
// batch KL 0.0029, 0.0049 and 0.0007, and 35 of 37, 39 of 40 and 33 of 34 argmax. Kette's dot kernels on AVX2: 0.0051,
// 0.0049, 0.0029; 35, 37, 34. A position's sum over the top 64 alone may be negative and varies by 0.01, so 40
// positions do not tell two such engines apart; all 111 tell a broken kernel, and that is what is checked.
TEST_CASE("fast mode stays near float32, a prompt at once and token by token") {
  const auto loaded = open_model(KETTE_DEMO_MODEL, nn::Mode::kFast);
  for (const size_t chunk : {size_t{512}, size_t{1}}) {
    double kl = 0;
    size_t same = 0, positions = 0;
    for (const Prompt& p : prompts()) {
      const auto session = open_session(loaded);
      const Distance d = compare(p, eval_all(*session, p.ids, chunk));
      MESSAGE(chunk, " at a time: KL ", d.kl, ", ", d.same, " of ", p.ids.size(), " argmax agree");
      kl += d.kl * static_cast<double>(p.ids.size());
      same += d.same;
      positions += p.ids.size();
    }
    CHECK(kl / static_cast<double>(positions) <= 0.007);
    CHECK(same >= positions - 7);
  }
}

#else

TEST_CASE("the demo model") { MESSAGE("SKIPPED: built without KETTE_TEST_DEMO_MODEL"); }

#endif

}  // namespace
}  // namespace kette::test
