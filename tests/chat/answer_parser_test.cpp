// Answers as the models write them, and broken ones, taken apart: whatever the cuts, the same pieces.
#include "chat/answer_parser.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "support/answer.h"
#include "support/golden.h"

using nlohmann::ordered_json;

namespace kette {
namespace {

using test::dialect_of;
using test::line;

constexpr AnswerStart kBefore = AnswerStart::kBeforeThought, kIn = AnswerStart::kInThought,
                      kAfter = AnswerStart::kAfterThought;

struct Transcript {
  const char* dialect;
  AnswerStart start;
  const char* answer;
  const char* expected;
};

// The same from the whole answer, byte by byte and in other cuts.
void check(const Dialect& dialect, AnswerStart start, bool tools, std::string_view answer, std::string_view expected) {
  CAPTURE(std::string(answer));
  const auto parser = [&] { return AnswerParser(dialect, start, tools); };
  CHECK(line(test::parse_whole(parser(), answer)) == expected);
  CHECK(line(test::parse_cut(parser(), answer, [] { return size_t{0}; })) == expected);
  std::mt19937 random(static_cast<uint32_t>(answer.size()));
  for (int round = 0; round < 20; ++round)
    CHECK(line(test::parse_cut(parser(), answer, [&] { return size_t{random() % 9}; })) == expected);
}

void check(const Transcript& t) {
  CAPTURE(t.dialect);
  check(dialect_of(t.dialect), t.start, true, t.answer, t.expected);
}

}  // namespace

TEST_CASE("thoughts, and the newlines of their tags") {
  const Transcript kAll[] = {
      {"", kBefore, "Hello.", "[text Hello.]"},
      {"", kBefore, "\n Hello.\n\n", "[text \n Hello.\n\n]"},
      {"", kBefore, "<think>\nOkay.\n</think>\n\nHello.", "[think Okay.][text Hello.]"},
      {"", kBefore, " \n<think>Okay.</think>Hello.\n", "[think Okay.][text Hello.\n]"},
      {"", kBefore, "<think>\n\n</think>\n\nHello.", "[text Hello.]"},
      {"", kBefore, "<think></think>", ""},
      {"", kIn, "Okay,\n\nso <b>\n</think>\n\nHello.", "[think Okay,\n\nso <b>][text Hello.]"},
      {"", kIn, "\n\nOkay.\n\n\n</think>\nHello. </think> <think>", "[think Okay.][text Hello. </think> <think>]"},
      {"", kIn, "<think>\nOkay.\n</think>\n\nHello.", "[think Okay.][text Hello.]"},  // the tag once more
      {"", kIn, "</think>\n\nHello.", "[text Hello.]"},
      {"", kIn, "\n \n</think>\n\n Hello.", "[think  ][text  Hello.]"},
      {"", kIn, "never closed\n\n", "[think never closed\n\n]"},
      {"", kIn, "cut in the tag\n</thi", "[think cut in the tag\n</thi]"},
      {"", kIn, "a < b, </ think>, </think >, <</think>x", "[think a < b, </ think>, </think >, <][text x]"},
      {"", kIn, "a\n<\n</\n\n</think>\n\n\n", "[think a\n<\n</]"},
      {"", kAfter, "\n\nHello.", "[text Hello.]"},
      {"", kAfter, "</think>Hello.", "[text </think>Hello.]"},
      {"", kAfter, "<think>\nYet.\n</think>\n\nHello.", "[think Yet.][text Hello.]"},
      {"", kBefore, "<thin", "[text <thin]"},
      {"", kBefore, " \n<thing>", "[text  \n<thing>]"},
      {"", kBefore, "I write <think> in a text.</think>", "[text I write <think> in a text.</think>]"},
  };
  for (const Transcript& t : kAll) check(t);
}

TEST_CASE("without tags, everything is text") {
  check(Dialect(), kBefore, true, "<think>\nx</think>\n\ny<tool_call>", "[text <think>\nx</think>\n\ny<tool_call>]");
  check(dialect_of("hermes"), kBefore, false, "a\n<tool_call>\n{\"name\": \"f\"}",
        "[text a\n<tool_call>\n{\"name\": \"f\"}]");
}

TEST_CASE("another pair of tags") {
  Dialect dialect;
  dialect.thinking.open = "[THINK]";
  dialect.thinking.close = "[/THINK]";
  check(dialect, kBefore, true, "[THINK]\n<think>[/THINK]\n\nx", "[think <think>][text x]");
}

TEST_CASE("calls of Qwen and Hermes") {
  const Transcript kAll[] = {
      {"hermes", kBefore,
       "<think>\nThe weather. <tool_call> is for that.\n</think>\n\n<tool_call>\n"
       R"({"name": "get_weather", "arguments": {"city": "Paris", "days": [1, {"x": "}\"]"}]}})"
       "\n</tool_call>",
       R"([think The weather. <tool_call> is for that.][call get_weather][args {"city": "Paris", "days": [1, {"x": "}\"]"}]}][end])"},
      {"hermes", kAfter,
       "Let me look.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"b\", "
       "\"arguments\": {\"x\":1.5e3}}\n</tool_call>\nDone.\n",
       "[text Let me look.][call a][args {}][end][call b][args {\"x\":1.5e3}][end][text Done.\n]"},
      // Any white space, order and other members; "parameters"; escapes in the name.
      {"hermes", kBefore,
       "<tool_call>{ \"id\":7 ,\n\"arguments\" : { \"a\" :\n[ ] } , \"name\":\"f\\u0041\" }</tool_call>",
       "[call fA][args { \"a\" :\n[ ] }][end]"},
      {"hermes", kBefore,
       "<tool_call>{\"parameters\": \"{\\\"a\\\": 1}\", \"name\": \"f\", \"z\": {\"name\": \"no\"}}</tool_call>x",
       "[call f][args \"{\\\"a\\\": 1}\"][end][text x]"},
      {"hermes", kBefore, "<tool_call>{\"name\": \"f\", \"arguments\": -12.5 }</tool_call>",
       "[call f][args -12.5][end]"},
      {"hermes", kBefore, "<tool_call>{\"name\": \"f\", \"arguments\": null}", "[call f][args null][end]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "[call f][end]"},
      {"hermes", kBefore,
       "<tool_call>{\"name\": \"f\", \"name\": \"g\", \"arguments\": {}, \"arguments\": [1]}</tool_call>",
       "[call f][args {}][end]"},
      // The marker inside a string is a string; outside of one it ends what is broken.
      {"hermes", kBefore, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call>\"}}</tool_call>!",
       "[call f][args {\"a\": \"</tool_call>\"}][end][text !]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1,}}\n</tool_call>\nWell.",
       "[call f][args {\"a\": 1,}}][broken][text Well.]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"no quote}}\n</tool_call>\nWell.",
       "[call f][args {\"a\": \"no quote}}][broken][text Well.]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1",
       "[call f][args {\"a\": 1][broken]"},
      {"hermes", kBefore, "<tool_call>{\"name\": \"f\", arguments: <tool_call>{\"name\": \"g\"}",
       "[call f][args arguments: ][broken][call g][end]"},
      // A brace too few or too many behind complete arguments.
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}\n</tool_call>\nx",
       "[call f][args {}][end][text x]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}}\n</tool_call>\nx",
       "[call f][args {}][end][text }x]"},
      // No call: text, to the last byte.
      {"hermes", kBefore, "a\n\n<tool_call>\n{\"nam\": \"f\"}\n</tool_call>\n",
       "[text a\n\n<tool_call>\n{\"nam\": \"f\"}\n</tool_call>\n]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": 5}", "[text <tool_call>\n{\"name\": 5}]"},
      {"hermes", kBefore, "<tool_call>\n[]\n</tool_call>", "[text <tool_call>\n[]\n</tool_call>]"},
      {"hermes", kBefore, "<tool_call>\n{\"name\": \"f", "[text <tool_call>\n{\"name\": \"f]"},
      {"hermes", kBefore, "see <tool_call> and <tool_call>{\"name\": \"f\"}</tool_call>",
       "[text see <tool_call> and ][call f][end]"},
      {"hermes", kBefore, "a <tool_cal\n\n<tool_", "[text a <tool_cal\n\n<tool_]"},
  };
  for (const Transcript& t : kAll) check(t);
}

TEST_CASE("calls of Llama 3") {
  const Transcript kAll[] = {
      {"llama3", kBefore, R"({"name": "get_weather", "parameters": {"city": "Paris"}})",
       R"([call get_weather][args {"city": "Paris"}][end])"},
      {"llama3", kBefore, "\n<|python_tag|>{\"type\": \"function\", \"name\": \"f\", \"arguments\": {}}\n",
       "[call f][args {}][end]"},
      {"llama3", kBefore,
       "{\"parameters\": {\"a\": [{}]}, \"name\": \"f\"}; {\"name\": \"g\", \"parameters\": {}}\n{\"name\": \"h\", "
       "\"parameters\": {}}",
       "[call f][args {\"a\": [{}]}][end][call g][args {}][end][call h][args {}][end]"},
      {"llama3", kBefore, "Text first. {\"name\": \"f\", \"parameters\": {}}",
       "[text Text first. {\"name\": \"f\", \"parameters\": {}}]"},
      {"llama3", kBefore, "Text first.\n<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; and more.",
       "[text Text first.][call f][args {}][end][text ; and more.]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"parameters\": {\"a\": 1", "[call f][args {\"a\": 1][broken]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"parameters\": {a: 1}}\n", "[call f][args {a: 1}}\n][broken]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"parameters\": {}", "[call f][args {}][end]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"parameters\": {}}}", "[call f][args {}][end][text }]"},
      {"llama3", kBefore, " {\"name\": \"Bob\", \"age\": 5}\n", "[text  {\"name\": \"Bob\", \"age\": 5}\n]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"parameters\": \"{}\"}",
       "[text {\"name\": \"f\", \"parameters\": \"{}\"}]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"para", "[text {\"name\": \"f\", \"para]"},
      {"llama3", kBefore, "{x} <|python_tag|>import os\n<|python_tag|>",
       "[text {x} <|python_tag|>import os\n<|python_tag|>]"},
      {"llama3", kBefore, "{<|python_tag|> {\"name\": \"f\", \"parameters\": {}}", "[text {][call f][args {}][end]"},
      {"llama3", kBefore, "{\"name\": \"f\", \"parameters\": {}} ; {\"a\": 1}",
       "[call f][args {}][end][text  ; {\"a\": 1}]"},
  };
  for (const Transcript& t : kAll) check(t);
}

TEST_CASE("calls of DeepSeek-V3 and R1") {
  const Transcript kAll[] = {
      {"deepseek_v3", kIn,
       "The weather.\n</think>\n\nI "
       "look.\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
       "{\"city\": \"Paris\", \"x\": "
       "\"```<｜tool▁call▁end｜>\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>b\n```json\n{}"
       "\n"
       "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>\n\nBye.",
       "[think The weather.][text I look.][call get_weather][args {\"city\": \"Paris\", \"x\": "
       "\"```<｜tool▁call▁end｜>\"}][end]"
       "[call b][args {}][end][text Bye.]"},
      {"deepseek_v3", kBefore, "<｜tool▁call▁begin｜>function<｜tool▁sep｜> f {\"a\":\n1}",
       "[call f][args {\"a\":\n1}][end]"},
      {"deepseek_v3", kBefore,
       "<｜tool▁calls▁begin｜>\n<｜tool▁call▁begin｜><｜tool▁sep｜>f<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "[call f][end]"},
      {"deepseek_v3", kBefore,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": "
       "}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>x",
       "[call f][args {\"a\": }\n```][broken][text x]"},
      {"deepseek_v3", kBefore,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": \"b",
       "[call f][args {\"a\": \"b][broken]"},
      {"deepseek_v3", kBefore,
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```\nwhat?<｜tool▁call▁end｜>!<｜tool▁calls▁end｜>"
       "\n.",
       "[call f][args {}][end][text what?!.]"},
      {"deepseek_v3", kBefore, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n[1]<｜tool▁call▁end｜>",
       "[call f][args [1]][broken]"},
      {"deepseek_v3", kBefore, "a\n<｜tool▁calls▁begin｜>\n<｜tool▁call▁b",
       "[text a\n<｜tool▁calls▁begin｜>\n<｜tool▁call▁b]"},
      {"deepseek_v3", kBefore,
       "<｜tool▁calls▁begin｜> is a token <｜tool▁calls▁begin｜><<｜tool▁call▁begin｜>function<｜tool▁sep｜>f{}",
       "[text <｜tool▁calls▁begin｜> is a token <｜tool▁calls▁begin｜><][call f][args {}][end]"},
      {"deepseek_v3", kBefore, "<｜tool▁call▁begin｜>f{}<｜tool▁call▁end｜>",
       "[text <｜tool▁call▁begin｜>f{}<｜tool▁call▁end｜>]"},
      {"deepseek_v3", kBefore, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>\n```json\n{}",
       "[text <｜tool▁call▁begin｜>function<｜tool▁sep｜>\n```json\n{}]"},
  };
  for (const Transcript& t : kAll) check(t);
}

TEST_CASE("calls of DeepSeek-V3.1") {
  const Transcript kAll[] = {
      {"deepseek_v3_1", kAfter,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": "
       "\"Paris\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>b<｜tool▁sep｜>"
       "{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "[call get_weather][args {\"city\": \"Paris\"}][end][call b][args {}][end]"},
      {"deepseek_v3_1", kAfter, "Hm.\n\n<｜tool▁call▁begin｜> f <｜tool▁sep｜>\n{} <｜tool▁calls▁end｜>\nx",
       "[text Hm.][call f][args {}][end][text x]"},
      {"deepseek_v3_1", kAfter, "<｜tool▁call▁begin｜>f<｜tool▁sep｜>```json\n{}\n```<｜tool▁call▁end｜>",
       "[call f][args ```json\n{}\n```][broken]"},
      {"deepseek_v3_1", kAfter, "<｜tool▁call▁begin｜><｜tool▁sep｜>{}",
       "[text <｜tool▁call▁begin｜><｜tool▁sep｜>{}]"},
      {"deepseek_v3_1", kAfter, "<｜tool▁call▁begin｜>f", "[text <｜tool▁call▁begin｜>f]"},
  };
  for (const Transcript& t : kAll) check(t);
}

TEST_CASE("a control token ends a call inside a string, its spelling does not") {
  struct Case {
    const char *dialect, *begin, *end;
  };
  for (const auto& [dialect, begin, end] :
       {Case{"hermes", "<tool_call>{\"name\": \"f\", \"arguments\": ", "</tool_call>"},
        Case{"deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n", "<｜tool▁call▁end｜>"},
        Case{"deepseek_v3_1", "<｜tool▁call▁begin｜>f<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}}) {
    CAPTURE(dialect);
    for (const bool special : {false, true}) {
      AnswerParser parser(dialect_of(dialect), kBefore, true);
      std::vector<AnswerPiece> pieces;
      parser.push(std::string(begin) + "{\"a\": \"b", false, pieces);
      parser.push(end, special, pieces);
      parser.push("c", false, pieces);
      parser.finish(pieces);
      CHECK(line(pieces) ==
            "[call f][args {\"a\": \"b" + (special ? "][broken][text c]" : std::string(end) + "c][broken]"));
    }
  }
}

TEST_CASE("pieces come as early as they can") {
  AnswerParser parser(dialect_of("hermes"), kBefore, true);
  std::vector<AnswerPiece> pieces;
  const auto push = [&](std::string_view bytes) {
    pieces.clear();
    parser.push(bytes, false, pieces);
    return line(pieces);
  };
  CHECK_FALSE(parser.in_thought());
  CHECK(push("<think>") == "");
  CHECK(parser.in_thought());
  CHECK(push("\na <") == "[think a ]");
  CHECK(push("/t") == "");
  CHECK(push("ea") == "[think </tea]");
  CHECK(push("\n\n") == "");
  CHECK(push("b</think>") == "[think \n\nb]");
  CHECK_FALSE(parser.in_thought());
  CHECK(push("\nHi\n") == "[text Hi]");
  CHECK(push("<tool_call>\n{\"name\": \"f") == "");
  CHECK(push("\"") == "[call f]");
  CHECK(push(", \"arguments\": {\"a\"") == "[args {\"a\"]");
  CHECK(push(": 1}") == "[args : 1}][end]");
  CHECK(push("}\n</tool_call>\n") == "");
  CHECK(push("x") == "[text x]");
}

TEST_CASE("an answer in JSON streams as soon as it is no call of Llama's") {
  for (const char* begin : {"{\"answer\": ", "{\"name\": \"Bob\", \"age\": ", "{\"name\": 1", "{\"parameters\": [",
                            "{]", "{\"type\": tr_"}) {
    CAPTURE(begin);
    AnswerParser parser(dialect_of("llama3"), kBefore, true);
    std::vector<AnswerPiece> pieces;
    parser.push(begin, false, pieces);
    parser.push("5", false, pieces);
    CHECK(line(pieces) == "[text " + std::string(begin) + "5]");
  }
}

TEST_CASE("every golden conversation, as an answer, is the same in any cuts") {
  size_t answers = 0, calls = 0;
  for (const auto& root : test::golden_roots()) {
    if (!std::filesystem::exists(root / "chat")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root / "chat")) {
      if (entry.path().extension() != ".json") continue;
      const ordered_json file = ordered_json::parse(test::read_file(entry.path()));
      for (const ordered_json& json : file.at("cases")) {
        if (!json.contains("rendered")) continue;
        const std::string answer = json["rendered"];
        for (const char* tools : {"", "hermes", "llama3", "deepseek_v3", "deepseek_v3_1"}) {
          for (const AnswerStart start : {kBefore, kIn}) {
            const Dialect dialect = dialect_of(tools);
            const auto whole = test::joined(test::parse_whole(AnswerParser(dialect, start, true), answer));
            std::mt19937 random(static_cast<uint32_t>(answers++));
            const auto cut = test::parse_cut(AnswerParser(dialect, start, true), answer, [&] { return random() % 13; });
            CHECK(test::joined(cut) == whole);
            const auto bytes = test::parse_cut(AnswerParser(dialect, start, true), answer, [] { return size_t{0}; });
            CHECK(test::joined(bytes) == whole);
            for (const AnswerPiece& piece : whole) calls += piece.kind == AnswerPiece::Kind::kToolName;
            if (*tools == '\0' && start == kBefore && answer.find("<think>") != 0)
              CHECK(line(whole) == "[text " + answer + "]");
          }
        }
      }
    }
  }
  CHECK(answers > 1000);
  CHECK(calls > 20);
}

}  // namespace kette
