// What each golden template says of thinking and tool calls, as its authors document it, and templates of other habits.
#include "chat/dialect.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "support/answer.h"
#include "support/golden.h"

using nlohmann::ordered_json;

namespace kette {
namespace {

constexpr const char* kChatMl =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
// QwQ and Qwen3-Thinking: the thought is opened, always.
constexpr const char* kOpens =
    "{% for m in messages %}{% set c = m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant' else "
    "m.content"
    " %}{{ '<|im_start|>' + m.role + '\n' + c + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}";
// The first template of R1: nothing is opened, but old thoughts are dropped.
constexpr const char* kDrops =
    "{% for m in messages %}{{ '<' + m.role + '>' }}{{ m.content.split('</think>')[-1] if m.role == 'assistant' else "
    "m.content }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";
constexpr const char* kCloses =
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant><think></think>' }}{% endif %}";

ChatTemplate compile(const std::string& source) {
  auto made = ChatTemplate::compile(source);
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return std::move(*made);
}

struct Golden {
  explicit Golden(const std::string& key) {
    for (const auto& root : test::golden_roots()) {
      if (!std::filesystem::exists(root / "chat" / (key + ".jinja"))) continue;
      source = test::read_file(root / "chat" / (key + ".jinja"));
      json = ordered_json::parse(test::read_file(root / "chat" / (key + ".json")));
      break;
    }
    REQUIRE_MESSAGE(!source.empty(), key);
    bos = json.value("bos_token", "");
    eos = json.value("eos_token", "");
  }
  Dialect dialect() const { return Dialect::of(compile(source), bos, eos); }

  std::string source, bos, eos;
  ordered_json json;
};

std::vector<std::string> golden_keys() {
  std::map<std::string, bool> keys;
  for (const auto& root : test::golden_roots()) {
    if (!std::filesystem::exists(root / "chat")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root / "chat"))
      if (entry.path().extension() == ".jinja") keys[entry.path().stem().string()] = true;
  }
  std::vector<std::string> all;
  for (const auto& [key, found] : keys) all.push_back(key);
  return all;
}

// Everything in one line: what is not true is left out.
std::string describe(const Dialect& d) {
  static constexpr const char* kStarts[] = {"before", "in", "after"};
  std::string all;
  if (d.thinking.known()) {
    all += d.thinking.open + d.thinking.close + " " + kStarts[static_cast<size_t>(d.thinking.usual_start)];
    if (d.thinking.control == ThinkingControl::kVariable) all += " variable " + d.thinking.variable;
    if (d.thinking.control == ThinkingControl::kPrefill) all += " prefill";
    if (d.history.drops_spelled) all += " drops_spelled";
    if (d.history.reads_field) all += " reads_field";
    if (d.history.drops_field) all += " drops_field";
    all += "; ";
  }
  if (d.tools != nullptr) {
    all += std::string(d.tools->name);
    if (d.tool_history.arguments_as_object) all += " object";
    if (d.tool_history.arguments_as_text) all += " text";
    if (d.tool_history.content_null) all += " null";
    if (d.tool_history.content_empty) all += " empty";
    if (d.tool_history.several) all += " several";
    all += "; ";
  }
  return all + d.answer_begin + "..." + d.turn_end;
}

std::string prompt_of(const ChatTemplate& chat_template, const Dialect& dialect, ThinkingSetting setting,
                      std::string_view messages, AnswerStart& start) {
  const auto prepared = prepare(dialect, setting, [&](std::string_view variables) {
    ChatRequest request;
    request.messages_json = messages;
    request.variables_json = variables;
    request.now_iso = "2026-01-02T03:04:05";
    return chat_template.render(request);
  });
  if (!prepared.ok()) return "error: " + prepared.status().message();
  start = prepared->start;
  for (size_t i = 1; i < prepared->prompt.pieces.size(); ++i)
    CHECK(prepared->prompt.pieces[i].literal != prepared->prompt.pieces[i - 1].literal);
  return prepared->prompt.text();
}

}  // namespace

TEST_CASE("golden templates") {
  const std::map<std::string, std::string> kExpected = {
      {"deepseek_r1_distill",
       "<think></think> in prefill drops_spelled drops_field; deepseek_v3 text null several; "
       "<｜Assistant｜>...<｜end▁of▁sentence｜>"},
      {"deepseek_v2", "Assistant:...<｜end▁of▁sentence｜>"},
      {"deepseek_v3", "deepseek_v3 text null several; <｜Assistant｜>...<｜end▁of▁sentence｜>"},
      {"deepseek_v3_1",
       "<think></think> after variable thinking drops_spelled drops_field; deepseek_v3_1 text null empty several; "
       "<｜Assistant｜>...<｜end▁of▁sentence｜>"},
      {"llama3_1_instruct", "llama3 object null empty; <|start_header_id|>assistant<|end_header_id|>\n\n...<|eot_id|>"},
      {"llama3_2_instruct", "llama3 object null empty; <|start_header_id|>assistant<|end_header_id|>\n\n...<|eot_id|>"},
      {"llama3_simple", "<|start_header_id|>assistant<|end_header_id|>\n\n...<|eot_id|>"},
      {"qwen2_5", "hermes object null empty several; <|im_start|>assistant\n...<|im_end|>"},
      {"qwen3",
       "<think></think> before variable enable_thinking drops_spelled reads_field drops_field; hermes object text "
       "empty "
       "several; <|im_start|>assistant\n...<|im_end|>"},
  };
  size_t seen = 0;
  for (const std::string& key : golden_keys()) {
    CAPTURE(key);
    REQUIRE(kExpected.count(key) == 1);
    CHECK(describe(Golden(key).dialect()) == kExpected.at(key));
    ++seen;
  }
  CHECK(seen == kExpected.size());
}

TEST_CASE("templates of other habits") {
  const auto found = [](const char* source) { return describe(Dialect::of(compile(source), "<s>", "</s>")); };
  CHECK(found(kChatMl) == "<|im_start|>assistant\n...<|im_end|>");  // SmolLM2
  CHECK(found(kOpens) == "<think></think> in prefill drops_spelled drops_field; <|im_start|>assistant\n...<|im_end|>");
  CHECK(found(kDrops) == "<think></think> before prefill drops_spelled drops_field; <assistant>...");
  CHECK(found(kCloses) == "<think></think> after drops_field; <assistant>...");
  // Words of tags and calls that the template says to the model, and does nothing with, are not believed.
  CHECK(found("{{ 'Think in <think></think>. enable_thinking. <tool_call>{\"name\": \"f\", \"arguments\": "
              "{}}</tool_call>' }}"
              "{% for m in messages %}{{ m.role + m.content }}{% endfor %}") == "...");
  CHECK(found("{{ messages | tojson }}") == "...\"}]");
  CHECK(found("{{ raise_exception('no') }}") == "...");
  CHECK(found("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}") == "...");
  // Members the other way round, and calls behind the content.
  CHECK(found("{% for m in messages %}[{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{\"arguments\": "
              "{{ c.function.arguments | tojson }}, \"name\": \"{{ c.function.name }}\"}</tool_call>{% endfor %}]{% "
              "endfor %}") == "hermes object null empty several; ...]");
}

TEST_CASE("a template writes calls as the frame of its dialect says, and reading them gives the calls") {
  size_t calls = 0;
  for (const std::string& key : golden_keys()) {
    CAPTURE(key);
    const Golden golden(key);
    const Dialect dialect = golden.dialect();
    for (const ordered_json& json : golden.json.at("cases")) {
      if (dialect.tools == nullptr || !json.contains("rendered")) continue;
      const std::string rendered = json["rendered"];
      const ToolCallFrame& frame = dialect.tools->frame;
      for (const ordered_json& message : json.at("messages")) {
        if (!message.contains("tool_calls")) continue;
        std::string written(frame.calls_begin), expected;
        for (const ordered_json& call : message["tool_calls"]) {
          const ordered_json& function = call.at("function");
          const ordered_json& arguments = function.at("arguments");
          std::string text = arguments.is_string() ? arguments.get<std::string>() : "";
          if (text.empty()) {
            // As tojson writes: with spaces behind commas and colons.
            ChatRequest request;
            const std::string list = ordered_json::array({arguments}).dump();
            request.messages_json = list;
            text = compile("{{ messages[0] | tojson }}").render(request)->text();
          }
          if (!expected.empty()) written += frame.between_calls;
          written.append(frame.before_name).append(function.at("name").get<std::string>());
          written.append(frame.before_arguments).append(text).append(frame.after_arguments);
          expected += "[call " + function.at("name").get<std::string>() + "][args " + text + "][end]";
        }
        if (expected.empty() || rendered.find(written) == std::string::npos) {
          // Only where the template has its own way with this message: content beside calls, or arguments as text.
          CHECK_MESSAGE((expected.empty() || !message.value("content", ordered_json()).is_null() ||
                         !dialect.tool_history.arguments_as_text),
                        written);
          continue;
        }
        written += frame.calls_end;
        CHECK(test::line(test::parse_whole(AnswerParser(dialect, AnswerStart::kAfterThought, true), written)) ==
              expected);
        ++calls;
      }
    }
  }
  CHECK(calls >= 20);
}

TEST_CASE("the prompt's end for each setting") {
  struct Row {
    std::string source, off, on, usual;  // what follows the user's text; "" for a refusal
  };
  const auto golden = [](const char* key) { return Golden(key).source; };
  const std::string qwen = "<|im_end|>\n<|im_start|>assistant\n";
  const Row kRows[] = {
      {golden("qwen3"), qwen + "<think>\n\n</think>\n\n", qwen, qwen},
      {golden("deepseek_v3_1"), "<｜Assistant｜></think>", "<｜Assistant｜><think>", "<｜Assistant｜></think>"},
      {golden("deepseek_r1_distill"), "<｜Assistant｜><think>\n\n</think>\n\n", "<｜Assistant｜><think>\n",
       "<｜Assistant｜><think>\n"},
      {kOpens, qwen + "<think>\n\n</think>\n\n", qwen + "<think>\n", qwen + "<think>\n"},
      {kDrops, "<assistant><think>\n\n</think>\n\n", "<assistant><think>\n", "<assistant>"},
      {kCloses, "<assistant><think></think>", "", "<assistant><think></think>"},
      {kChatMl, qwen, "", qwen},
      {golden("deepseek_v3"), "<｜Assistant｜>", "", "<｜Assistant｜>"},
  };
  // What the user writes never opens or closes a thought.
  for (const std::string text : {"Why?", "Why <think>\n", "</think>", "<think>\n\n</think>\n\n"}) {
    const std::string messages = ordered_json::array({{{"role", "user"}, {"content", text}}}).dump();
    for (const Row& row : kRows) {
      CAPTURE(row.usual);
      const ChatTemplate chat_template = compile(row.source);
      const Dialect dialect = Dialect::of(chat_template, "", "");
      const auto expect = [&](ThinkingSetting setting, const std::string& end) {
        AnswerStart start{};
        const std::string prompt = prompt_of(chat_template, dialect, setting, messages, start);
        if (end.empty()) {
          CHECK(prompt.starts_with("error: thinking: on is wanted, but the model's chat template has no"));
          return;
        }
        CHECK(prompt.ends_with(text + end));
        const bool opened = end.ends_with("<think>\n") || end.ends_with("<think>");
        const bool closed = end.ends_with("</think>\n\n") || end.ends_with("</think>");
        CHECK(start == (opened   ? AnswerStart::kInThought
                        : closed ? AnswerStart::kAfterThought
                                 : AnswerStart::kBeforeThought));
      };
      expect(ThinkingSetting::kDefault, row.usual);
      expect(ThinkingSetting::kOff, row.off);
      expect(ThinkingSetting::kOn, row.on);
    }
  }
}

TEST_CASE("a prompt that ends with a message's own words") {
  const ChatTemplate chat_template = compile("{% for m in messages %}{{ m.content }}{% endfor %}");
  Dialect dialect = test::dialect_of("");
  for (const char* text : {"<think>", "</think>", "<think>\n"}) {
    const std::string messages = ordered_json::array({{{"role", "user"}, {"content", text}}}).dump();
    AnswerStart start = AnswerStart::kInThought;
    CHECK(prompt_of(chat_template, dialect, ThinkingSetting::kDefault, messages, start) == text);
    CHECK(start == AnswerStart::kBeforeThought);
    dialect.thinking.control = ThinkingControl::kPrefill;
    CHECK(prompt_of(chat_template, dialect, ThinkingSetting::kOff, messages, start) ==
          text + std::string("<think>\n\n</think>\n\n"));
    CHECK(start == AnswerStart::kAfterThought);
  }
}

TEST_CASE("where a template begins no answer, nothing is added") {
  const ChatTemplate chat_template = compile(Golden("deepseek_r1_distill").source);
  const Dialect dialect = Dialect::of(chat_template, "", "");
  const std::string messages = R"([{"role": "user", "content": "x"}, {"role": "tool", "content": "21"}])";
  for (const auto setting : {ThinkingSetting::kDefault, ThinkingSetting::kOn, ThinkingSetting::kOff}) {
    AnswerStart start = AnswerStart::kInThought;
    CHECK(prompt_of(chat_template, dialect, setting, messages, start)
              .ends_with("21<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"));
    CHECK(start == AnswerStart::kBeforeThought);
  }
}

TEST_CASE("a failed rendering is the caller's to see") {
  const auto prepared = prepare(Dialect(), ThinkingSetting::kOff, [](std::string_view) -> Result<RenderedChat> {
    return error(Code::kInvalidArgument, "no roles");
  });
  REQUIRE_FALSE(prepared.ok());
  CHECK(prepared.status().message() == "no roles");
}

TEST_CASE("markers that may be control tokens") {
  const Dialect dialect = test::dialect_of("deepseek_v3");
  for (const char* spelling :
       {"<think>", "</think>", "<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"})
    CHECK(dialect.is_marker(spelling));
  CHECK_FALSE(dialect.is_marker("<｜end▁of▁sentence｜>"));
  CHECK_FALSE(dialect.is_marker("<｜tool▁sep｜>", false));
  CHECK(dialect.is_marker("<think>", false));
  CHECK_FALSE(Dialect().is_marker(""));
  CHECK(test::dialect_of("llama3").is_marker("<|python_tag|>"));
}

}  // namespace kette
