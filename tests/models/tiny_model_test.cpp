// The tiny model that the examples use (examples/tiny): transformers' logits, answers to sums, its own predictions of the
// tokens that follow. golden.json and logits.npy are written by examples/tiny/check.py.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/chat_prompt.h"
#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

namespace {

const std::filesystem::path kGolden = KETTE_TINY_MODEL_GOLDEN;

struct Given {
  std::string thought, reply;
  Metrics metrics;
};

Given ask(const std::shared_ptr<LoadedModel>& loaded, const std::string& question, Speculation speculation,
          ThinkingSetting thinking = ThinkingSetting::kDefault) {
  const auto chat = value(ChatPrompt::make(loaded));
  ok(chat->add("user", question));
  GenerateOptions options;
  options.max_tokens = 400;
  options.sampling.temperature = 0;
  options.speculation = speculation;
  options.thinking = thinking;
  const auto session = open_session(loaded);
  ok(session->begin_chat(value(chat->prepare(options, session->capacity())), options));
  Given answer;
  while (!value(session->step(0))) {
  }
  answer.thought = session->message().thought;
  answer.reply = session->message().text;
  answer.metrics = session->metrics();
  return answer;
}

}  // namespace

TEST_CASE("the tiny model computes transformers' logits and chooses its tokens") {
  const auto golden = nlohmann::json::parse(read_file(kGolden / "golden.json"));
  const size_t every = golden.at("every");
  const std::vector<float> expected = load_npy(kGolden / "logits.npy").floats();
  const auto loaded = open_model(KETTE_TINY_MODEL, nn::Mode::kExact);
  const size_t vocab_size = loaded->model()->shape().vocab_size;
  size_t row = 0;
  double largest = 0;
  for (const auto& prompt : golden.at("prompts")) {
    CAPTURE(prompt.at("question").get<std::string>());
    const std::vector<Token> ids = prompt.at("ids");
    auto session = open_session(loaded);
    const std::vector<float> logits = eval_all(*session, ids);
    for (size_t position = 0; position < ids.size(); position += every, ++row) {
      REQUIRE((row + 1) * vocab_size <= expected.size());
      for (size_t i = 0; i < vocab_size; ++i) {
        const double d = std::abs(double{logits[position * vocab_size + i]} - double{expected[row * vocab_size + i]});
        largest = std::isnan(d) ? INFINITY : std::max(largest, d);
      }
    }
    Token next = argmax(std::span(logits).last(vocab_size));
    for (const Token wanted : prompt.at("greedy")) {
      REQUIRE(next == wanted);
      next = argmax(eval_all(*session, {next}));
    }
  }
  CHECK(row * vocab_size == expected.size());
  CHECK(largest <= 2e-3);
  MESSAGE("largest difference ", largest, " in ", row, " rows");
}

TEST_CASE("the tiny model thinks and answers, the same with and without guessing") {
  const auto loaded = open_model(KETTE_TINY_MODEL, nn::Mode::kFast);
  for (const auto& [question, reply] :
       {std::pair<std::string, std::string>{"What is 48213 + 7906 + 55018?", "48213 + 7906 + 55018 = 111137."},
        {"What is 3002 - 40517?", "3002 - 40517 = -37515."},
        {"Which is larger, 51234 or 51324?", "51324 is larger."}}) {
    CAPTURE(question);
    const Given plain = ask(loaded, question, Speculation::kOff);
    CHECK(plain.reply == reply);
    CHECK(plain.thought.find("Check:") != std::string::npos);
    const Given guessed = ask(loaded, question, Speculation::kLookAhead);
    CHECK(guessed.thought == plain.thought);
    CHECK(guessed.reply == plain.reply);
    CHECK(guessed.metrics.drafted_tokens > 0);
    CHECK(guessed.metrics.accepted_tokens * 10 >= guessed.metrics.drafted_tokens * 9);
  }
  // A thought that is not wanted is left out.
  const Given at_once = ask(loaded, "What is 3 + 4?", Speculation::kOff, ThinkingSetting::kOff);
  CHECK(at_once.thought.empty());
  CHECK(at_once.reply.find("3 + 4 = ") == 0);
}
