// Small sources that ask for much: each is refused by the limit it runs into, or done in a moment.
#include <doctest/doctest.h>
#if defined(__linux__)
#include <sys/resource.h>
#endif

#include <chrono>
#include <functional>

#include "sample/expression.h"
#include "sample/grammar.h"
#include "sample/grammar_limits.h"
#include "sample/grammar_tables.h"
#include "sample/stack_automaton.h"
#include "support/grammar.h"

namespace kette {
namespace {

// Far more than any of this takes, on a busy machine too; most of the sources below would take longer without limits.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kMostSeconds = 60;
#else
constexpr double kMostSeconds = 5;
#endif

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The most memory that the process has had; 0 where that cannot be told.
size_t peak_bytes() {
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) return static_cast<size_t>(usage.ru_maxrss) << 10;
#endif
  return 0;
}

std::string joined(size_t n, const char* between, const std::function<std::string(size_t)>& part) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += (i > 0 ? between : "") + part(i);
  return out;
}

template <class Make>
void check_refused_soon(const std::vector<test::RefusedCase>& cases, Make make) {
  for (const test::RefusedCase& c : cases) {
    CAPTURE(c.source.substr(0, 100));
    CHECK(seconds_of([&] { test::check_refused({c}, make); }) < kMostSeconds);
  }
}

TEST_CASE("a schema's objects have so many keys") {
  const auto keys = [](size_t n) {
    return "{\"default\":{" + joined(n, ",", [](size_t i) { return fmt::format("\"k:{}\":0", i); }) + "}}";
  };
  CHECK(Grammar::from_json_schema(keys(grammar_limits::kKeys)).ok());
  check_refused_soon({{keys(grammar_limits::kKeys + 1), Code::kBudget, "more than 4096 keys"},
                      {keys(60000), Code::kBudget, "more than 4096 keys"}},
                     Grammar::from_json_schema);
}

TEST_CASE("many properties that are required, and often") {
  const auto name = [](size_t i) { return fmt::format("\"name{}\"", i); };
  const auto source = [&](size_t n, const std::string& around) {
    return "{\"type\":\"object\",\"properties\":{" + joined(n, ",", [&](size_t i) { return name(i) + ":{}"; }) +
           "},\"required\":[" + joined(15 * n, ",", [&](size_t i) { return name(i / 15); }) + "]" + around + "}";
  };
  CHECK(seconds_of([&] { CHECK(Grammar::from_json_schema(source(4000, "")).ok()); }) < kMostSeconds);
  CHECK(seconds_of([&] { CHECK(Grammar::from_json_schema(source(4000, ",\"allOf\":[{\"minProperties\":1}]")).ok()); }) <
        kMostSeconds);
}

TEST_CASE("what schemas are merged to is limited") {
  const std::string text(200000, 'x');
  const auto values = [](size_t n, const char* more) {
    return "\"enum\":[" + joined(n, ",", [&](size_t i) { return fmt::format("\"{}{}\"", more, i); }) + "]";
  };
  const std::string types = "\"type\":[" + joined(30000, ",", [](size_t) { return "\"string\""; }) + "]";
  check_refused_soon(
      {{"{\"allOf\":[{\"pattern\":\"" + text + "\"}," +
            joined(4000, ",", [](size_t i) { return fmt::format("{{\"minLength\":{}}}", i); }) + "]}",
        Code::kBudget, "bytes of text"},
       {"{\"const\":\"" + text + "\",\"anyOf\":[" + joined(3000, ",", [](size_t) { return "{\"type\":\"string\"}"; }) +
            "]}",
        Code::kBudget, "bytes of text"},
       {"{\"allOf\":[{" + values(30000, "a") + "},{" + values(30000, "b") + "}]}", Code::kBudget, "comparisons"},
       {"{\"oneOf\":[{" + values(30000, "a") + "},{" + values(30000, "b") + "}]}", Code::kBudget, "comparisons"},
       {"{\"allOf\":[{\"properties\":[]},{\"properties\":{\"a\":{}}}]}", Code::kInvalidArgument, "not an object"}},
      Grammar::from_json_schema);
  CHECK(seconds_of([&] { CHECK(Grammar::from_json_schema("{\"allOf\":[{" + types + "},{" + types + "}]}").ok()); }) <
        kMostSeconds);
}

TEST_CASE("automata that one schema takes on the side are limited together") {
  const auto patterns = [](size_t n) {
    return "{\"type\":\"object\",\"patternProperties\":{" +
           joined(n, ",", [](size_t i) { return fmt::format("\"^a{:05}$\":{{}}", i); }) + "}}";
  };
  CHECK(seconds_of([&] { CHECK(Grammar::from_json_schema(patterns(400)).ok()); }) < kMostSeconds);
  // What each of these takes is within the limits of one grammar; their products grow with the square of their number.
  const auto strings = [](size_t n) {
    return "{\"anyOf\":[" +
           joined(n, ",",
                  [](size_t i) {
                    return fmt::format("{{\"propertyNames\":{{\"pattern\":\"^x{}\",\"maxLength\":2000}}}}", i);
                  }) +
           "]}";
  };
  check_refused_soon({{patterns(4000), Code::kBudget, "grammar: "}, {strings(1000), Code::kBudget, "grammar: "}},
                     Grammar::from_json_schema);
}

// Names that two patterns share count where names may have them at all.
TEST_CASE("patterns are apart within the names that there may be") {
  const auto grammar = Grammar::from_json_schema(
      R"({"propertyNames":{"pattern":"^[ab]$"},"patternProperties":{"^a|x":{"type":"null"},"^b|x":{"const":1}}})");
  REQUIRE_MESSAGE(grammar.ok(), grammar.status().message());
  CHECK(test::matches(*grammar, "{\"a\":null,\"b\":1}"));
  for (const char* text : {"{\"a\":1}", "{\"b\":null}", "{\"x\":null}", "{\"ax\":null}"})
    CHECK_FALSE(test::matches(*grammar, text));
  check_refused_soon({{R"({"patternProperties":{"^a$|^x$":{},"^c$":{},"^b$|^x$":{}}})", Code::kUnsupported, "^b$|^x$"}},
                     Grammar::from_json_schema);
}

TEST_CASE("literals are limited as a whole") {
  RuleBuilder builder;
  const std::string text(grammar_limits::kSourceBytes, 'x');
  for (size_t i = 0; i < grammar_limits::kLiteralBytes / text.size() + 1; ++i) (void)builder.bytes(text);
  const auto made = builder.determinize(builder.bytes("a"));
  CHECK(made.status().code() == Code::kBudget);
  CHECK(made.status().message().find("literals") != std::string::npos);
}

TEST_CASE("moves on many bytes are counted before they are stored") {
  // Every byte goes its own way, and each of so many moves reads all of them.
  std::string each;
  for (int b = 1; b < 127; ++b) each += fmt::format("\\x{:02x}|", b);
  std::string many;
  for (int i = 0; i < 4; ++i) many += "(?:[\\x00-\\x7f]?){131072}";
  const size_t before = peak_bytes();
  check_refused_soon({{"(?:" + each + many + ")", Code::kBudget, "deterministic"}}, Grammar::from_regex);
  CHECK(peak_bytes() - before < size_t{250} << 20);
}

TEST_CASE("ways to go on are paid for before they are stored") {
  constexpr size_t kInner = 30000, kOuter = 2000;
  std::string source =
      "root ::= w1 | \"zz\"\nw1 ::= w2\nw2 ::= " + joined(kOuter, "|", [](size_t i) { return fmt::format("p{}", i); });
  source += "\nr ::= \"e\" (" + joined(kInner, "|", [](size_t i) { return fmt::format("q{}", i); }) + ")\n";
  source += joined(kOuter, "\n", [](size_t i) { return fmt::format("p{} ::= \"b\" r \"c\"", i); }) + "\n";
  source += joined(kInner, "\n", [](size_t i) { return fmt::format("q{} ::= \"a\" | \"ad\"", i); }) + "\n";
  const auto grammar = Grammar::from_gbnf(source);
  REQUIRE_MESSAGE(grammar.ok(), grammar.status().message());
  StackAutomaton automaton(*grammar);
  automaton.refuel();
  uint32_t state = automaton.start();
  for (const char c : std::string_view("be")) {
    automaton.refuel();
    state = automaton.step(state, static_cast<uint8_t>(c));
    REQUIRE(state != StackAutomaton::kFailed);
    REQUIRE(state != StackAutomaton::kDead);
  }
  automaton.refuel();
  const double seconds = seconds_of([&] { state = automaton.step(state, 'a'); });
  CHECK(state == StackAutomaton::kFailed);
  CHECK(automaton.failure().code() == Code::kBudget);
  CHECK(seconds < kMostSeconds / 5);
}

// Any plain character is free behind each of the first states, by one of thousands of ways.
TEST_CASE("plain characters of many kinds are looked at once each") {
  const auto code = [](uint32_t c) { return fmt::format("\\u{{{:x}}}", c); };
  const auto source = [&](int optional) {
    std::string out = fmt::format("(?:a?){{{}}}(?:[ !#-\\[\\]-~]|[\\x80-\\u{{7ff}}]", optional);
    uint32_t i = 0;
    for (uint32_t c = 0x800; c < 0x110000; c += 64)
      if (c < 0xd800 || c >= 0xe000) out += "|[" + code(c) + "-" + code(c + 63) + "]" + "xyz"[i++ % 3];
    return out + ")";
  };
  CHECK(seconds_of([&] { CHECK(Grammar::from_regex(source(60)).ok()); }) < kMostSeconds);
}

}  // namespace
}  // namespace kette
