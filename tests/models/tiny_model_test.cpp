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

struct Answer {
  std::string text, thought, reply;  // text is both
  Metrics metrics;
};

Answer ask(const std::shared_ptr<LoadedModel>& loaded, const std::string& question, Speculation speculation,
           const char* variables = "{}") {
  const auto chat = value(ChatPrompt::make(loaded));
  ok(chat->add("user", question));
  ok(chat->set_variables_json(variables));
  GenerateOptions options;
  options.max_tokens = 400;
  options.sampling.temperature = 0;
  options.speculation = speculation;
  const auto session = open_session(loaded);
  ok(session->begin(value(chat->tokens()), options));
  Answer answer;
  while (!value(session->step(0))) {
  }
  while (const auto event = session->poll()) answer.text += event->text;
  answer.metrics = session->metrics();
  const size_t end = answer.text.find("</think>\n\n");
  answer.thought = answer.text.substr(0, end);
  answer.reply = end == std::string::npos ? answer.text : answer.text.substr(end + 10);
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
    const Answer plain = ask(loaded, question, Speculation::kOff);
    CHECK(plain.reply == reply);
    CHECK(plain.thought.find("Check:") != std::string::npos);
    const Answer guessed = ask(loaded, question, Speculation::kLookAhead);
    CHECK(guessed.text == plain.text);
    CHECK(guessed.metrics.drafted_tokens > 0);
    CHECK(guessed.metrics.accepted_tokens * 10 >= guessed.metrics.drafted_tokens * 9);
  }
  // A thought that is not wanted is left out.
  const Answer at_once = ask(loaded, "What is 3 + 4?", Speculation::kOff, R"({"enable_thinking": false})");
  CHECK(at_once.thought == at_once.reply);
  CHECK(at_once.reply.find("3 + 4 = ") == 0);
}
