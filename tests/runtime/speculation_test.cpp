// Guessing tokens ahead must not change a token, in any mode, greedy or sampled.
#include <doctest/doctest.h>

#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

namespace {

std::vector<Token> answer(Session& session, const std::vector<Token>& prompt, GenerateOptions options) {
  ok(session.begin(prompt, std::move(options)));
  std::vector<Token> tokens;
  for (bool done = false; !done;) {
    done = value(session.step(0));
    while (const auto event = session.poll())
      if (event->token >= 0) tokens.push_back(event->token);
  }
  return tokens;
}

std::vector<Token> looked_up(const std::vector<Token>& sequence, size_t most) {
  const auto found = look_up(sequence, most);
  return {found.begin(), found.end()};
}

}  // namespace

TEST_CASE("look_up proposes what followed the latest, longest repetition of the ending") {
  CHECK(looked_up({}, 4).empty());
  CHECK(looked_up({1}, 4).empty());
  CHECK(looked_up({1, 2, 3, 9, 3}, 4).empty());  // one token is not enough
  CHECK(looked_up({1, 2, 3, 4, 5, 1, 2}, 3) == std::vector<Token>{3, 4, 5});
  CHECK(looked_up({1, 2, 3, 4, 5, 1, 2}, 9) == std::vector<Token>{3, 4, 5, 1, 2});  // to the end of the sequence
  CHECK(looked_up({1, 2, 7, 1, 2, 8, 1, 2}, 1) == std::vector<Token>{8});           // the latest of equals
  CHECK(looked_up({5, 1, 2, 7, 6, 1, 2, 8, 5, 1, 2}, 1) == std::vector<Token>{7});  // a longer one before it
  CHECK(looked_up({4, 4, 4, 4}, 2) == std::vector<Token>{4});
}

TEST_CASE("the governor rests what does not pay, longer each time, and keeps what does") {
  DraftGovernor slow;
  CHECK_FALSE(slow.allows());
  for (int i = 0; i < 2; ++i) slow.record(0, 1, 100);
  std::vector<int> rests;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(slow.allows());
    for (int i = 0; i < 8; ++i) slow.record(4, 1, 150);
    int rest = 0;
    for (; !slow.allows(); ++rest) slow.record(0, 1, 100);
    rests.push_back(rest);
  }
  CHECK(rests == std::vector<int>{8, 16, 32});

  DraftGovernor quick;
  for (int i = 0; i < 2; ++i) quick.record(0, 1, 100);
  for (int i = 0; i < 1000; ++i) quick.record(4, 3, 150);
  CHECK(quick.allows());
}

TEST_CASE("the tokens, the session's state and the reasons are the same with and without guesses") {
  for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kDeterministic, nn::Mode::kExact}) {
    const auto loaded = open_model(std::string(KETTE_GOLDEN_DIR) + "/models/llama/gguf/llama-Q8_0.gguf", mode);
    uint64_t accepted = 0;
    for (const float temperature : {0.0f, 0.3f}) {
      for (const uint32_t max_tokens : {1u, 2u, 150u, 0u}) {
        GenerateOptions options;
        options.ignore_eos = true;
        options.max_tokens = max_tokens;
        options.sampling.temperature = temperature;
        options.sampling.repetition_penalty = temperature > 0 ? 0.8f : 1.0f;  // below 1: it repeats itself
        options.sampling.seed = 7;
        const auto plain = open_session(loaded, 200), guessing = open_session(loaded, 200);
        const std::vector<Token> prompt{3, 1, 4, 1, 5, 9, 2, 6, 3, 1, 4, 1, 5, 9};
        const auto expected = answer(*plain, prompt, options);
        options.speculation = Speculation::kLookUp;
        options.max_draft = Session::kMaxDraft;
        CHECK(answer(*guessing, prompt, options) == expected);
        CHECK(guessing->length() == plain->length());
        CHECK(guessing->metrics().gen_tokens == plain->metrics().gen_tokens);
        accepted += guessing->metrics().accepted_tokens;
        // What the sessions hold is the same as well: they go on alike.
        const std::vector<Token> more{1, 2, 3};
        if (plain->capacity() - plain->length() >= more.size()) {
          CHECK(eval_all(*guessing, more) == eval_all(*plain, more));
        }
      }
    }
    CHECK(accepted > 0);  // else nothing was tried
  }
}
