// Whole answers to chats: a grammar makes the tiny Llama write what a thinking model would, cut into tokens as its random
// weights and the seed have it.
#include "runtime/answer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/chat_prompt.h"
#include "support/golden.h"
#include "support/model.h"

namespace kette::test {
namespace {

constexpr std::string_view kTools = R"([
  {"type": "function", "function": {"name": "weather", "description": "Weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 8}, "days": {"type": "integer"}},
                   "required": ["city", "days"], "additionalProperties": false}}},
  {"type": "function", "function": {"name": "now", "description": "The time",
    "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}}])";

// The tiny Llama with another model's chat template.
std::shared_ptr<LoadedModel> open_with(const std::string& chat_template) {
  const std::string text = read_file(golden_roots()[0] / "chat" / (chat_template + ".jinja"));
  const OpenFile open = [&text](const std::string& path) -> Result<std::unique_ptr<Source>> {
    if (!path.ends_with("chat_template.jinja")) return open_path(path, Access::kMap);
    return open_memory(std::as_bytes(std::span(text.data(), text.size())), path);
  };
  return value(LoadedModel::open(make_test_runtime(), open, (golden_roots()[0] / "models/llama/hf").string(), {}));
}

std::shared_ptr<const Constraint> constraint(const LoadedModel& loaded, Result<Grammar::Pointer> grammar) {
  return value(Constraint::make(value(std::move(grammar)), value(loaded.token_index())));
}

struct Outcome {
  std::string text, thought;
  std::vector<AnswerMessage::Call> calls;
  std::vector<Token> tokens;
  std::vector<Event> events;
  Finish finish = Finish::kNone;
  ThoughtEnd thought_end = ThoughtEnd::kNone;
};

Outcome run(Session& session) {
  Outcome out;
  while (!value(session.step(0))) {
  }
  while (auto event = session.poll()) {
    using Kind = Event::Kind;
    switch (event->kind) {
      case Kind::kText: out.text += event->text; break;
      case Kind::kReasoning: out.thought += event->text; break;
      case Kind::kToolCall: out.calls.push_back({event->text, {}}); break;
      case Kind::kToolArguments: out.calls.back().arguments += event->text; break;
      case Kind::kToolEnd: CHECK(event->tool_index + 1 == out.calls.size()); break;
      case Kind::kDone:
        out.finish = event->finish;
        out.thought_end = event->thought_end;
        break;
      case Kind::kFailed: FAIL("outside of a scheduler"); break;
    }
    if (event->token >= 0) out.tokens.push_back(event->token);
    out.events.push_back(std::move(*event));
  }
  return out;
}

struct Chat {
  std::shared_ptr<LoadedModel> loaded;
  std::unique_ptr<Session> session;
  std::unique_ptr<ChatPrompt> prompt;

  explicit Chat(const std::string& chat_template, std::string_view tools = {}, size_t context = 2048)
      : loaded(open_with(chat_template)),
        session(open_session(loaded, context)),
        prompt(value(ChatPrompt::make(loaded))) {
    ok(prompt->add("user", "What is two and two?"));
    if (!tools.empty()) ok(prompt->set_tools_json(tools));
  }
  Outcome answer(const GenerateOptions& options) {
    ok(session->begin_chat(value(prompt->prepare(options, session->capacity())), options));
    return run(*session);
  }
  // The model writes this.
  GenerateOptions script(Result<Grammar::Pointer> grammar, uint64_t seed = 0) const {
    GenerateOptions options;
    options.constraint = constraint(*loaded, std::move(grammar));
    options.constrain_thought = true;
    options.sampling.seed = seed;
    options.max_tokens = 600;
    return options;
  }
};

TEST_CASE("a thought that the prompt opens is kept apart from the answer, however tokens cut it") {
  Chat chat("deepseek_r1_distill");
  for (const uint64_t seed : {0, 1, 2, 3}) {
    const Outcome out =
        chat.answer(chat.script(Grammar::literal("Two and two, naïvely:\n\n4.\n</think>\n\nIt is <4> 🙂."), seed));
    CHECK(out.thought == "Two and two, naïvely:\n\n4.");
    CHECK(out.text == "It is <4> 🙂.");
    CHECK(out.finish == Finish::kStop);
    CHECK(out.thought_end == ThoughtEnd::kModel);
    CHECK(chat.session->metrics().gen_tokens == out.tokens.size());
    CHECK(chat.session->metrics().reasoning_tokens > 0);
    CHECK(chat.session->metrics().reasoning_tokens < out.tokens.size());
  }
}

TEST_CASE("a thought that the model opens, and tool calls behind it") {
  Chat chat("qwen3", kTools);
  const Outcome out = chat.answer(chat.script(
      Grammar::literal("<think>\nhm\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
                       "{\"city\": \"Ulm\", \"days\": "
                       "2}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>")));
  CHECK(out.thought == "hm");
  CHECK(out.text == "I look.");
  REQUIRE(out.calls.size() == 2);
  CHECK(out.calls[0].name == "weather");
  CHECK(out.calls[0].arguments == R"({"city": "Ulm", "days": 2})");
  CHECK(out.calls[1].name == "now");
  CHECK(out.calls[1].arguments == "{}");
  // As a message the template takes it, and writes what the model wrote.
  ok(chat.prompt->add_json(message_json(chat.session->message(), chat.loaded->dialect())));
  const std::string again = value(chat.prompt->render(false)).text();
  CHECK(again.find(R"({"name": "weather", "arguments": {"city": "Ulm", "days": 2}})") != std::string::npos);
}

TEST_CASE("without tools what looks like a call is text") {
  Chat chat("qwen2_5");
  const std::string call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  CHECK(chat.answer(chat.script(Grammar::literal(call))).text == call);
}

TEST_CASE("a budget closes the thought softly, and the answer goes on behind it") {
  Chat chat("deepseek_r1_distill");
  GenerateOptions options;
  options.ignore_eos = true;
  options.max_tokens = 60;
  options.thinking_budget = 7;
  options.thinking_close = " Enough.";
  const Outcome out = chat.answer(options);
  CHECK(out.thought_end == ThoughtEnd::kBudget);
  CHECK(out.thought.ends_with(" Enough."));
  CHECK(!out.text.empty());
  CHECK(out.finish == Finish::kLength);
  CHECK(out.tokens.size() == 60);
  // 7, at most 3 more to end a character, and what closes it.
  const auto closing = value(value(chat.loaded->tokenizer())->encode(" Enough.\n</think>\n\n", false, true)).size();
  CHECK(chat.session->metrics().reasoning_tokens >= 7);
  CHECK(chat.session->metrics().reasoning_tokens <= 7 + 3 + closing);
  // What was put in is in the cache like any other token: going on from it evaluates one token.
  std::vector<Token> whole = value(chat.prompt->prepare(options, 2048)).prompt;
  whole.insert(whole.end(), out.tokens.begin(), out.tokens.end());
  GenerateOptions more;
  more.max_tokens = 1;
  ok(chat.session->begin(whole, more));
  run(*chat.session);
  CHECK(chat.session->metrics().cached_tokens == whole.size() - 1);
}

TEST_CASE("thinking off means not one token of it") {
  for (const char* name : {"deepseek_r1_distill", "qwen3", "deepseek_v3_1"}) {
    CAPTURE(name);
    Chat chat(name);
    for (const uint64_t seed : {0, 1, 2}) {
      GenerateOptions options = chat.script(Grammar::from_regex("<[a-z]{5,6}>|ok"), seed);
      options.thinking = ThinkingSetting::kOff;
      const Outcome out = chat.answer(options);
      CHECK(out.thought.empty());
      CHECK(chat.session->metrics().reasoning_tokens == 0);
      CHECK(out.thought_end == ThoughtEnd::kNone);
      CHECK(!out.text.empty());
      CHECK(out.text != "<think>");
    }
  }
}

TEST_CASE("until the least number of tokens neither the thought nor the answer ends") {
  Chat chat("deepseek_r1_distill");
  GenerateOptions options = chat.script(Grammar::from_regex("[ab</think>]{0,300}</think>b"));
  options.thinking_minimum = 12;
  const Outcome out = chat.answer(options);
  CHECK(out.thought.size() >= 12);
  CHECK(chat.session->metrics().reasoning_tokens >= 12);
  CHECK(out.text == "b");
}

TEST_CASE("a thought that runs in circles is closed") {
  Chat chat("deepseek_r1_distill");
  GenerateOptions options;
  const Tokenizer& tokenizer = *value(chat.loaded->tokenizer());
  for (Token t = 0; t < 288; ++t)
    if (tokenizer.bytes_of(t) == "a") options.sampling.logit_bias.emplace_back(t, 1000.0f);
  options.max_tokens = 1400;
  const Outcome out = chat.answer(options);
  CHECK(out.thought_end == ThoughtEnd::kLoop);
  options.close_loops = false;
  options.max_tokens = 1200;
  CHECK(chat.answer(options).thought_end == ThoughtEnd::kCut);
}

TEST_CASE("a grammar holds after the thought, and leaves the thought alone") {
  for (const char* name : {"deepseek_r1_distill", "qwen3"}) {
    CAPTURE(name);
    Chat chat(name);
    GenerateOptions options;
    options.constraint = constraint(*chat.loaded, Grammar::from_regex("yes|no"));
    options.thinking = ThinkingSetting::kOn;
    options.thinking_budget = 9;
    options.max_tokens = 80;
    const Outcome out = chat.answer(options);
    CHECK((out.text == "yes" || out.text == "no"));
    CHECK(out.finish == Finish::kStop);
  }
}

TEST_CASE("a required call is one of the tools, with arguments as its schema says") {
  for (const char* name :
       {"qwen2_5", "qwen3", "deepseek_v3", "deepseek_v3_1", "deepseek_r1_distill", "llama3_1_instruct"}) {
    CAPTURE(name);
    Chat chat(name, kTools);
    ok(chat.prompt->set_now("2026-01-02T03:04:05"));
    GenerateOptions options;
    options.tool_choice = ToolChoice::kRequired;
    options.thinking_budget = chat.loaded->dialect().thinking.known() ? 5 : 0;
    options.max_tokens = 400;
    for (const std::string tool : {"", "weather", "now"}) {
      options.tool_name = tool;
      const Outcome out = chat.answer(options);
      REQUIRE(out.calls.size() == 1);
      CHECK(out.text.empty());
      CHECK(out.finish == Finish::kStop);
      if (!tool.empty()) CHECK(out.calls[0].name == tool);
      const auto arguments = nlohmann::json::parse(out.calls[0].arguments);
      if (out.calls[0].name == "weather") {
        CHECK(arguments.at("city").is_string());
        CHECK(arguments.at("days").is_number());  // of any size: JSON has no largest integer
      } else {
        CHECK(out.calls[0].name == "now");
        CHECK(arguments == nlohmann::json::object());
      }
    }
    options.tool_name = "stove";
    CHECK(chat.prompt->prepare(options, 2048).status().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("neither a grammar nor a limit is got round") {
  Chat chat("deepseek_r1_distill");
  const Token eos = chat.loaded->ends()[0];
  GenerateOptions options;
  options.max_tokens = 100;
  SUBCASE("by an end token inside the thought") {
    options.constraint = constraint(*chat.loaded, Grammar::from_regex("yes|no"));
    options.thinking_budget = 9;
    options.sampling.logit_bias = {{eos, 1000.0f}};
    const Outcome out = chat.answer(options);
    CHECK((out.text == "yes" || out.text == "no"));
    CHECK(out.thought_end == ThoughtEnd::kBudget);
  }
  SUBCASE("by characters that are never ended") {
    options.thinking_budget = 8;
    const Tokenizer& tokenizer = *value(chat.loaded->tokenizer());
    for (Token t = 0; t < 288; ++t)
      if (tokenizer.bytes_of(t) == "\xe2") options.sampling.logit_bias.emplace_back(t, 1000.0f);
    REQUIRE(options.sampling.logit_bias.size() == 1);
    for (const bool raw : {false, true}) {
      options.raw_bytes = raw;
      CHECK(chat.answer(options).thought_end == ThoughtEnd::kBudget);
    }
  }
  SUBCASE("by not thinking at all") {
    Chat other("qwen3");
    options.thinking_minimum = 12;
    options.sampling.logit_bias = {{other.loaded->ends()[0], 1000.0f}};
    other.answer(options);
    CHECK(other.session->metrics().gen_tokens >= 12);
  }
  const auto refused = [&](const GenerateOptions& o) {
    return chat.session->begin_chat(value(chat.prompt->prepare(o, 2048)), o).code() == Code::kInvalidArgument;
  };
  options = chat.script(Grammar::literal("x"));
  options.thinking_budget = 5;
  CHECK(refused(options));
  options = {};
  options.thinking_close = "so</think>";
  CHECK(refused(options));
}

TEST_CASE("what an answer came to is there when it is stopped or fails") {
  Chat chat("deepseek_r1_distill");
  GenerateOptions options = chat.script(Grammar::literal("hm</think>some words"));
  ok(chat.session->begin_chat(value(chat.prompt->prepare(options, 2048)), options));
  while (chat.session->message().text.size() < 5) REQUIRE(!value(chat.session->step(0)));
  CHECK(chat.session->metrics().thought_end == ThoughtEnd::kModel);
  chat.session->stop();
  CHECK(chat.session->message().thought == "hm");
  CHECK(chat.session->message().text.starts_with("some "));
  CHECK(!chat.session->poll());
}

TEST_CASE("log probabilities are those of the logits") {
  Chat chat("qwen2_5");
  GenerateOptions options;
  options.logprobs = true;
  options.top_logprobs = 5;
  options.max_tokens = 8;
  options.ignore_eos = true;
  options.sampling.temperature = 0;
  const std::vector<Token> prompt = value(chat.prompt->prepare(options, 2048)).prompt;
  const Outcome out = chat.answer(options);
  auto other = open_session(chat.loaded, 2048);
  // As the answer came: the prompt at once, then token by token.
  std::vector<float> logits = eval_all(*other, prompt);
  for (const Token token : out.tokens) {
    const std::vector<float> next = eval_all(*other, std::vector{token});
    logits.insert(logits.end(), next.begin(), next.end());
  }
  const size_t vocab_size = chat.loaded->model()->shape().vocab_size;
  size_t at = prompt.size() - 1;
  for (const Event& e : out.events) {
    if (e.token < 0) continue;
    const std::span row = std::span(logits).subspan(at++ * vocab_size, vocab_size);
    double sum = 0;
    for (const float x : row) sum += std::exp(double{x});
    CHECK(e.logprob == doctest::Approx(row[static_cast<size_t>(e.token)] - std::log(sum)).epsilon(0.005));
    REQUIRE(e.top.size() == 5);
    CHECK(e.top[0].token == e.token);
    CHECK(e.top[0].logprob == e.logprob);
    for (size_t i = 1; i < 5; ++i) CHECK(e.top[i].logprob <= e.top[i - 1].logprob);
  }
  CHECK(at == prompt.size() - 1 + 8);
}

TEST_CASE("the next turn evaluates the last answer and the new message alone") {
  Chat chat("deepseek_r1_distill");
  const Outcome first =
      chat.answer(chat.script(Grammar::literal("Long thoughts, many of them.\n</think>\n\nIt is 4.")));
  const uint64_t first_prompt = chat.session->metrics().prompt_tokens;
  const Tokenizer& tokenizer = *value(chat.loaded->tokenizer());
  const auto count = [&](std::string_view text) { return value(tokenizer.encode(text, false, true)).size(); };
  ok(chat.prompt->add_json(message_json(chat.session->message(), chat.loaded->dialect())));
  ok(chat.prompt->add("user", "And three and three?"));
  chat.answer(chat.script(Grammar::literal("6</think>6")));
  const Metrics& m = chat.session->metrics();
  CHECK(first.thought == "Long thoughts, many of them.");
  // All of the first prompt but what opened the thought.
  CHECK(m.cached_tokens + count("<think>\n") >= first_prompt);
  CHECK(m.cached_tokens <= first_prompt);
  CHECK(m.prompt_tokens - m.cached_tokens <=
        count("It is 4.<｜end▁of▁sentence｜><｜User｜>And three and three?<｜Assistant｜><think>\n"));
}

TEST_CASE("a context that is too small drops the oldest turns, never the system message or the question") {
  Chat chat("qwen2_5", {}, 400);
  for (int i = 0; i < 12; ++i) {
    ok(chat.prompt->add("assistant", "It is four, as it was before."));
    ok(chat.prompt->add("user", fmt::format("And what is {} and {}?", i, i)));
  }
  GenerateOptions options;
  options.max_tokens = 40;
  const auto full = value(chat.prompt->prepare(options, 400));
  REQUIRE(full.prompt.size() > 360);
  CHECK(full.dropped_messages == 0);
  options.drop_oldest = true;
  const auto fits = value(chat.prompt->prepare(options, 400));
  CHECK(fits.prompt.size() <= 360);
  CHECK(fits.dropped_messages > 0);
  CHECK(fits.dropped_messages % 2 == 0);
  const std::string text = value(value(chat.loaded->tokenizer())->decode(fits.prompt));
  CHECK(text.find("What is two and two?") == std::string::npos);
  CHECK(text.find("And what is 11 and 11?") != std::string::npos);
  chat.answer(options);
  CHECK(chat.session->metrics().dropped_messages == fits.dropped_messages);
  // Nothing more can go: the question alone is too long.
  CHECK(value(chat.prompt->prepare(options, 50)).dropped_messages == 24);
}

TEST_CASE("a prompt can be evaluated alone") {
  Chat chat("qwen2_5");
  GenerateOptions options;
  options.prompt_only = true;
  const Outcome out = chat.answer(options);
  CHECK(out.tokens.empty());
  CHECK(out.finish == Finish::kLength);
  const uint64_t prompt = chat.session->metrics().prompt_tokens;
  CHECK(chat.session->length() == prompt);
  options.prompt_only = false;
  options.max_tokens = 1;
  chat.answer(options);
  CHECK(chat.session->metrics().cached_tokens == prompt - 1);
}

TEST_CASE("guessing ahead changes nothing of a thought that is closed by its budget") {
  Chat chat("deepseek_r1_distill");
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.ignore_eos = true;
  options.max_tokens = 100;
  options.thinking_budget = 40;
  options.speculation = Speculation::kOff;
  const Outcome plain = chat.answer(options);
  options.speculation = Speculation::kLookUp;
  const Outcome guessed = chat.answer(options);
  CHECK(plain.tokens == guessed.tokens);
  CHECK(plain.thought == guessed.thought);
  CHECK(plain.text == guessed.text);
}

TEST_CASE("limits of thinking are refused where there is none") {
  Chat chat("qwen2_5");
  GenerateOptions options;
  options.thinking_budget = 5;
  CHECK(chat.session->begin_chat(value(chat.prompt->prepare(options, 2048)), options).code() == Code::kUnsupported);
  options.thinking_budget = 0;
  options.thinking = ThinkingSetting::kOn;
  CHECK(chat.prompt->prepare(options, 2048).status().code() == Code::kUnsupported);
  options.thinking = ThinkingSetting::kDefault;
  CHECK(chat.session->begin({1, 2, 3}, options).ok());
  chat.session->stop();
  options.thinking_minimum = 3;
  CHECK(chat.session->begin({1, 2, 3}, options).code() == Code::kUnsupported);
}

}  // namespace
}  // namespace kette::test
