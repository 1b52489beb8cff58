// GBNF sources: the texts they accept and refuse, and how wrong ones are told.
#include "sample/grammar.h"
#include "support/grammar.h"

namespace kette {
namespace {

using test::matches;

std::string repeated(const std::string& s, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

TEST_CASE("texts of GBNF grammars") {
  const std::vector<test::GrammarCase> cases = {
      {"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno", "maybe"}},
      {"root ::= \"\"", {""}, {"a"}},
      {"root ::= [a-c]+ [0-9]*", {"a", "abc", "cab12"}, {"", "1", "a1b", "d"}},
      {"root ::= [^a-c\\n]", {"d", "\xC3\xA9", "\xF0\x9F\x98\x80", " "}, {"a", "b", "\n", "", "\xC3", "dd"}},
      {"root ::= .", {"a", "\n", "\xE2\x82\xAC"}, {"", "ab", "\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"}},
      {"root ::= \"a\"{2,3} \"b\"{2} \"c\"{0,1} \"d\"{1,}",
       {"aabbd", "aaabbcd", "aabbcddd"},
       {"abbd", "aabb", "aaaabbd", "aabbccd"}},
      {"root ::= (\"a\" | \"b\" (\"c\" | \"d\")?)* \"!\"", {"!", "a!", "bcbda!", "bb!"}, {"c!", "ac!", "a"}},
      {"root ::= \"\\x41\\u00e9\\U0001F600\\n\\\"\\\\\"", {"A\xC3\xA9\xF0\x9F\x98\x80\n\"\\"}, {"A"}},
      {"root ::= [\\]\\-x]", {"]", "-", "x"}, {"\\", "y"}},
      {"root ::= [\xC3\xA4-\xC3\xB6]+", {"\xC3\xA4\xC3\xA5\xC3\xB6"}, {"\xC3\xB7", "\xC3\xA3", "a"}},
      {"# a comment\nroot ::= a b # behind\na ::= \"a\"\n\n# between\nb ::= \"b\" # end", {"ab"}, {"a"}},
      {"root ::= a b\na ::= \"a\"\nb ::= \"b\"", {"ab"}, {"a", "b", "ba"}},
      {"root ::= (a\n  b\n)\na ::= \"a\"\nb ::= \"b\"", {"ab"}, {"a"}},
      {"root ::= \"a\" |\n  \"b\"\n  | \"c\"", {"a", "b", "c"}, {"d"}},
      {"root ::= a-b_C1\r\na-b_C1 ::= \"x\"\r\n", {"x"}, {"y"}},
      // Recursion: to the right, in the middle, through other rules, and with nothing.
      {"root ::= \"a\" root | \"b\"", {"b", "ab", "aaaab"}, {"a", "ba"}},
      {"root ::= \"(\" root \")\" root | \"\"", {"", "()", "(())()", "((()())())"}, {"(", ")", "(()", "())("}},
      {"root ::= pal\npal ::= \"a\" pal \"a\" | \"b\" pal \"b\" | [ab]?",
       {"", "a", "aba", "abba", "babbab"},
       {"ab", "abb"}},
      {"root ::= x x\nx ::= y?\ny ::= \"a\" | \"b\" x", {"", "a", "ab", "ba", "bab", "bb"}, {"aaa", "c"}},
      {"root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" expr \")\"",
       {"1", "1+2", "(1+2)*3", "((1))", "12*(3-(4/5))"},
       {"", "1+", "(1", "1)", "()", "+1"}},
      // Ambiguous ones.
      {"root ::= (\"a\" | \"aa\")* \"b\"", {"b", "ab", "aaaaab"}, {"a", "ba"}},
      {"root ::= x | y\nx ::= \"a\" root \"b\"\ny ::= \"a\" root \"c\" | \"d\"",
       {"d", "adb", "aadbc", "aaadcbc"},
       {"ad", "adbb"}},
      // Rules that nothing needs, and rules that never end.
      {"root ::= \"a\" | loop\nloop ::= \"b\" loop\nunused ::= unused2 \"x\"\nunused2 ::= \"y\"", {"a"}, {"b", "bb"}},
      {"root ::= ((\"a\"*)*)*", {"", "a", "aaaa"}, {"b"}},
      {"root ::= (\"a\"? \"b\"?)+ \"c\"", {"c", "abc", "bac", "aabbc"}, {"ab"}},
      {"root ::= (x y){2,4}\nx ::= \"a\"*\ny ::= \"b\"?", {"", "ab", "aabab", "bbbb", "aaaa"}, {"bbbbb", "c"}},
  };
  test::check_cases(cases, Grammar::from_gbnf);
}

TEST_CASE("large repetitions, and deep nesting") {
  const auto grammar = Grammar::from_gbnf("root ::= [a-z\xC3\xA0-\xC3\xBF]{1000,20000} \".\"");
  REQUIRE(grammar.ok());
  CHECK(matches(*grammar, repeated("a\xC3\xA9", 10000) + "."));
  CHECK_FALSE(matches(*grammar, repeated("a\xC3\xA9", 10000) + "a."));
  CHECK_FALSE(matches(*grammar, repeated("a", 999) + "."));
  const auto nested = Grammar::from_gbnf("root ::= ((((([ab]{3}){5} \"-\"){7} \"=\"){11} \"+\"){13})");
  REQUIRE(nested.ok());
  const std::string seven = repeated(repeated("aba", 5) + "-", 7) + "=";
  CHECK(matches(*nested, repeated(repeated(seven, 11) + "+", 13)));
  CHECK_FALSE(matches(*nested, repeated(repeated(seven, 11) + "+", 12)));
  const auto lists = Grammar::from_gbnf("root ::= \"[\" (root (\",\" root)*)? \"]\"");
  REQUIRE(lists.ok());
  CHECK(matches(*lists, repeated("[", 1000) + repeated("]", 1000)));
  CHECK_FALSE(matches(*lists, repeated("[", 1000) + repeated("]", 999)));
  // Many choices, of one beginning each.
  std::string many = "root ::= \"x\"";
  for (int i = 0; i < 5000; ++i) many += " | \"word" + std::to_string(i * 7919) + "\"";
  const auto words = Grammar::from_gbnf(many);
  REQUIRE(words.ok());
  CHECK(matches(*words, "word39587081"));
  CHECK_FALSE(matches(*words, "word39587082"));
}

TEST_CASE("nesting beyond the limit while matching is a status") {
  const auto grammar = Grammar::from_gbnf("root ::= \"(\" root \")\" | \"\"");
  REQUIRE(grammar.ok());
  GrammarMatcher matcher = test::matcher_of(*grammar);
  Status status;
  size_t n = 0;
  for (; n < 100000 && status.ok(); ++n) status = matcher.accept("(");
  CHECK(status.code() == Code::kBudget);
  CHECK(n > 10000);
  CHECK(matcher.accept(repeated(")", 1000)).ok());
}

TEST_CASE("GBNF that is refused says why") {
  const auto nested = [](size_t n) { return "root ::= " + repeated("(", n) + "\"a\"" + repeated(")", n); };
  CHECK(Grammar::from_gbnf(nested(190)).ok());
  const std::vector<test::RefusedCase> cases = {
      {"", Code::kInvalidArgument, "root"},
      {"a ::= \"a\"", Code::kInvalidArgument, "\"root\""},
      {"root ::= b", Code::kInvalidArgument, "\"b\" is used and not defined"},
      {"root ::= \"a\nb\"\nroot ::= \"c\"", Code::kInvalidArgument, "defined twice"},
      {"root ::= \"a", Code::kInvalidArgument, "line 1, column"},
      {"root ::= [a", Code::kInvalidArgument, "within quotes or brackets"},
      {"root ::= (\"a\"", Code::kInvalidArgument, "expected \")\""},
      {"root ::= \"a\")", Code::kInvalidArgument, "new line"},
      {"root = \"a\"", Code::kInvalidArgument, "\"::=\""},
      {"root ::= \"a\"\n\n%", Code::kInvalidArgument, "line 3, column 1"},
      {"root ::= \"\\q\"", Code::kInvalidArgument, "escape"},
      {"root ::= \"\\ud800\"", Code::kInvalidArgument, "hexadecimal"},
      {"root ::= \"\xFF\"", Code::kInvalidArgument, "UTF-8"},
      {"root ::= [b-a]", Code::kInvalidArgument, "wrong order"},
      {"root ::= \"a\"{3,2}", Code::kInvalidArgument, "wrong order"},
      {"root ::= \"a\"{x}", Code::kInvalidArgument, "number"},
      {"root ::= \"a\"{2,3", Code::kInvalidArgument, "\"}\""},
      {"root ::= [^\\U00000000-\\U0010FFFF]", Code::kInvalidArgument, "no text"},
      {"root ::= \"a\" root", Code::kInvalidArgument, "no text"},
      {"root ::= root \"a\" | \"b\"", Code::kUnsupported, "left recursion"},
      {"root ::= expr\nexpr ::= term | expr \"+\" term\nterm ::= \"1\"", Code::kUnsupported, "expr -> expr"},
      {"root ::= a\na ::= b \"x\" | \"q\"\nb ::= c\nc ::= a \"y\"", Code::kUnsupported, " -> "},
      {"root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"z\"", Code::kUnsupported, "a -> a"},
      {"root ::= root", Code::kInvalidArgument, "no text"},
      {"root ::= (root)* \"a\"", Code::kUnsupported, "left recursion"},
      {nested(5000), Code::kBudget, "nested"},
      {nested(100000), Code::kBudget, "nested"},
      {"root ::= \"a\"{1000000000}", Code::kBudget, "repeated"},
      {"root ::= ((\"a\"{100000} \"b\"){100000} \"c\"){100000} [x]{100000} [y]{100000} [z]{100000} [0]{100000} "
       "[1]{100000}",
       Code::kBudget, "states"},
      {"root ::= [ab]* \"a\" [ab]{30}", Code::kBudget, "grammar"},
      {std::string((1 << 20) + 1, ' '), Code::kBudget, "1048576"},
  };
  test::check_refused(cases, Grammar::from_gbnf);
}

TEST_CASE("grammars are put together") {
  const auto word = *Grammar::from_regex("[a-z]+");
  const auto open = *Grammar::literal("<call>"), close = *Grammar::literal("</call>");
  const auto object = *Grammar::from_json_schema("{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"}}}");
  const Grammar::Pointer parts[] = {open, object, close};
  const auto call = Grammar::sequence(parts);
  REQUIRE(call.ok());
  CHECK(matches(*call, "<call>{\"x\":1}</call>"));
  CHECK_FALSE(matches(*call, "<call>{\"x\":1}"));
  const Grammar::Pointer ways[] = {word, *call};
  const auto either = Grammar::choice(ways);
  REQUIRE(either.ok());
  CHECK(matches(*either, "hello"));
  CHECK(matches(*either, "<call>{}</call>"));
  CHECK_FALSE(matches(*either, "hello<call>{}</call>"));
  const auto several = Grammar::repeat(*call, 1, 3);
  REQUIRE(several.ok());
  CHECK(matches(*several, "<call>{}</call><call>{ \"x\": -5}</call>"));
  CHECK_FALSE(matches(*several, ""));
  CHECK_FALSE(matches(*several, "<call>{}</call><call>{}</call><call>{}</call><call>{}</call>"));
  CHECK(matches(*Grammar::repeat(word, 0, Grammar::kNoLimit), ""));
  CHECK(matches(*Grammar::sequence({}), ""));
  CHECK(matches(*Grammar::literal("\xFF"), "\xFF"));
  CHECK(Grammar::choice({}).status().code() == Code::kInvalidArgument);
  const Grammar::Pointer missing[] = {nullptr};
  CHECK(Grammar::sequence(missing).status().code() == Code::kInvalidArgument);
  CHECK(Grammar::repeat(word, 2, 1).status().code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace kette
