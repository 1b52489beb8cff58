// Multi-token prediction against the reference's logits, and as a guesser that must not change an answer.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/forward.h"
#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;
namespace fs = std::filesystem;

namespace {

// Checkpoints whose goldens have a module's logits.
std::vector<fs::path> checkpoints() {
  std::vector<fs::path> found;
  for (const fs::path& root : golden_roots()) {
    for (const char* name : {"dsv3", "dsv3_fp8"}) {
      const fs::path dir = root / "models" / name;
      if (fs::exists(dir / "hf" / "config.json")) found.push_back(dir);
    }
  }
  return found;
}

nlohmann::json golden_of(const fs::path& checkpoint) {
  return nlohmann::json::parse(read_file(checkpoint / "golden.json"));
}

// The module's logits at every position, taken in stretches of `chunk`.
std::vector<float> ahead_logits(const LoadedModel& loaded, const std::vector<Token>& ids,
                                const std::vector<Token>& next, size_t chunk) {
  const Model& model = *loaded.model();
  const size_t vocab_size = model.shape().vocab_size;
  nn::KvCache kv = value(nn::KvCache::make(model.shape().kv, nn::KvType::kF32, ids.size()));
  Forward forward(model, loaded.runtime(), loaded.mode());
  std::vector<float> logits(ids.size() * vocab_size);
  for (size_t at = 0; at < ids.size(); at += chunk) {
    const size_t n = std::min(chunk, ids.size() - at);
    forward.begin(std::span(ids).subspan(at, n), kv, at, nullptr, 0);
    REQUIRE(value(forward.run(std::nullopt, nullptr)));
    forward.begin_ahead(std::span(next).subspan(at, n), kv, at, logits.data() + at * vocab_size, n);
    REQUIRE(value(forward.run(std::nullopt, nullptr)));
  }
  return logits;
}

struct Given {
  std::vector<Token> tokens;
  uint64_t drafted, accepted;
};

Given answer(Session& session, const std::vector<Token>& prompt, GenerateOptions options, uint32_t budget_us) {
  ok(session.begin(prompt, std::move(options)));
  std::vector<Token> tokens;
  for (bool done = false; !done;) {
    done = value(session.step(budget_us));
    while (const auto event = session.poll())
      if (event->token >= 0) tokens.push_back(event->token);
  }
  return {tokens, session.metrics().drafted_tokens, session.metrics().accepted_tokens};
}

}  // namespace

TEST_CASE("the module gives the reference's logits at every position, however it is cut") {
  REQUIRE_FALSE(checkpoints().empty());
  for (const fs::path& checkpoint : checkpoints()) {
    CAPTURE(checkpoint.string());
    const auto loaded = open_model((checkpoint / "hf").string(), nn::Mode::kExact);
    REQUIRE(loaded->model()->looks_ahead());
    const nlohmann::json golden = golden_of(checkpoint);
    REQUIRE(golden.at("prompts").size() == 3);
    for (const auto& prompt : golden.at("prompts")) {
      const auto ids = prompt.at("ids").get<std::vector<Token>>();
      const auto next = prompt.at("mtp").at("next_ids").get<std::vector<Token>>();
      const auto expected =
          load_npy(checkpoint / prompt.at("mtp").at("logits").at("postnorm").get<std::string>()).floats();
      const auto logits = ahead_logits(*loaded, ids, next, ids.size());
      REQUIRE(logits.size() == expected.size());
      float largest = 0;
      for (size_t i = 0; i < logits.size(); ++i) largest = std::max(largest, std::fabs(logits[i] - expected[i]));
      CHECK(largest <= 2e-3f);
      CHECK(ahead_logits(*loaded, ids, next, 5) == logits);
    }
  }
}

TEST_CASE("guesses of the module change no token, in one call or in slices, fresh or after a rewind") {
  for (const fs::path& checkpoint : checkpoints()) {
    for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kDeterministic, nn::Mode::kExact}) {
      const auto loaded = open_model((checkpoint / "hf").string(), mode);
      const auto prompt = golden_of(checkpoint).at("prompts")[1].at("ids").get<std::vector<Token>>();
      for (const float temperature : {0.0f, 0.7f}) {
        GenerateOptions options;
        options.ignore_eos = true;
        options.max_tokens = 60;
        options.sampling.temperature = temperature;
        options.sampling.seed = 3;
        options.speculation = Speculation::kOff;
        const auto plain = open_session(loaded, 128);
        const auto expected = answer(*plain, prompt, options, 0);
        options.speculation = Speculation::kLookAhead;
        options.max_draft = 2;
        const auto session = open_session(loaded, 128);
        const Given guessed = answer(*session, prompt, options, 0);
        CHECK(guessed.tokens == expected.tokens);
        CHECK(guessed.drafted > 0);
        CHECK(guessed.accepted <= guessed.drafted);
        MESSAGE(checkpoint.filename().string(), " accepted ", guessed.accepted, " of ", guessed.drafted);
        // In fast mode sums may depend on how a prompt is cut: compare with a session that cuts it in the same way. A session
        // that guesses evaluates one more token of what is held, for its module lacks the last position.
        const auto unguessed_from = [&](size_t held, uint32_t budget_us) {
          options.speculation = Speculation::kOff;
          ok(plain->rewind(held));
          const auto tokens = answer(*plain, prompt, options, budget_us).tokens;
          if (mode != nn::Mode::kFast) CHECK(tokens == expected.tokens);
          return tokens;
        };
        const auto from_half = unguessed_from(prompt.size() / 2 - 1, 200),
                   from_last = unguessed_from(prompt.size() - 2, 0);
        options.speculation = Speculation::kLookAhead;
        ok(session->rewind(prompt.size() / 2));
        CHECK(answer(*session, prompt, options, 200).tokens == from_half);
        CHECK(answer(*session, prompt, options, 0).tokens == from_last);  // all of the prompt is held
        options.speculation = Speculation::kAuto;
        CHECK(answer(*session, prompt, options, 0).drafted > 0);
        // Without the module's part of what is held it is not worth evaluating that again.
        ok(plain->rewind(prompt.size() - 1));
        const Given unguessed = answer(*plain, prompt, options, 0);
        CHECK(unguessed.tokens == from_last);
        CHECK(unguessed.drafted == 0);
        CHECK(plain->metrics().cached_tokens == prompt.size() - 1);
      }
    }
  }
}

TEST_CASE("a model without a module refuses to look ahead") {
  const auto loaded = open_model(std::string(KETTE_GOLDEN_DIR) + "/models/llama/gguf/llama-Q8_0.gguf", nn::Mode::kFast);
  GenerateOptions options;
  options.speculation = Speculation::kLookAhead;
  const Status refused = open_session(loaded)->begin({1, 2, 3}, options);
  CHECK(refused.code() == Code::kUnsupported);
}
