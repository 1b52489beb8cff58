// Regular expressions: the texts they match as a whole, and what is refused by name.
#include "sample/grammar.h"
#include "support/grammar.h"

namespace kette {
namespace {

TEST_CASE("texts that regular expressions match") {
  const std::vector<test::GrammarCase> cases = {
      {"", {""}, {"a"}},
      {"abc", {"abc"}, {"ab", "abcd", ""}},
      {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
      {"a*b+c?", {"b", "aab", "bbc"}, {"", "ac", "bcc"}},
      {"a{3}b{1,2}c{2,}", {"aaabcc", "aaabbccc"}, {"aabcc", "aaabbbcc", "aaabc"}},
      {"a*?b+?c??d{1,2}?", {"bd", "aabbcdd"}, {"a"}},
      {"(ab)+(?:cd)*(?<name>e)", {"abe", "ababcdcde"}, {"e", "ab"}},
      {"^abc$", {"abc"}, {"xabc"}},
      {"^a|b$", {"a", "b"}, {"ab"}},
      {"(^a$)|(^b$)", {"a", "b"}, {"ab"}},
      {"^(?:^a|b)$", {"a", "b"}, {"c"}},
      {".",
       {"a", "\xC3\xA9", "\xF0\x9F\x98\x80", "\v", "\xC2\x85", "\xE2\x80\xA7", "\xE2\x80\xAA"},
       {"\n", "\r", "\xE2\x80\xA8", "\xE2\x80\xA9", "", "\xFF", "ab"}},
      {"[a-cx-z]", {"a", "b", "x"}, {"d", "-"}},
      {"[^a-c]", {"d", "\n", "\xE2\x82\xAC"}, {"a", ""}},
      {"[-a]+[a-]+[\\-b]", {"-a-", "aab"}, {"b"}},
      {"[\\]\\\\^]", {"]", "\\", "^"}, {"a"}},
      {"[]|a", {"a"}, {""}},
      {"[^]", {"\n", "x"}, {""}},
      {"\\d+\\.\\d{2}", {"12.34"}, {"12.3", "a.34", "12x34"}},
      {"\\w+\\W\\w*", {"a_1 b", "x-"}, {"a", "\xC3\xA9 "}},
      {"\\s\\S", {" x", "\t\xC3\xA9", "\xC2\xA0y", "\xE3\x80\x80z"}, {"  ", "xx"}},
      {"[\\d\\s]+[^\\w]", {"1 2!", "3\n"}, {"a!", "1a"}},
      {"\\t\\n\\v\\f\\r\\0\\x41\\u00e9\\u{1F600}\\cA",
       {std::string("\t\n\v\f\r\0", 6) + "A\xC3\xA9\xF0\x9F\x98\x80\x01"},
       {"t"}},
      {"\\uD83D\\uDE00", {"\xF0\x9F\x98\x80"}, {"?"}},
      {"[\\u0400-\\u04FF]+", {"\xD0\x9F\xD1\x80"}, {"P"}},
      {"\\/\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\^\\$\\-", {"/.*+?()[]{}|^$-"}, {"/"}},
      {"{a}", {"{a}"}, {"a"}},
      {"x{,2}", {"x{,2}"}, {"x", "xx"}},
      {"[\\b]", {"\b"}, {"b"}},
      {"((a|b)*c|d(e|f)){2}", {"cc", "abcde", "dedf", "cde"}, {"c", "abab"}},
      {"(a*)*", {"", "aaa"}, {"b"}},
      {"(?:[a-z]+\\.)+[a-z]{2,6}", {"example.com", "a.b.org"}, {"example", ".com"}},
      {"\xC3\xA9+", {"\xC3\xA9\xC3\xA9"}, {"\xC3", "e"}},
  };
  test::check_cases(cases, Grammar::from_regex);
}

TEST_CASE("regular expressions that are refused say why") {
  const std::vector<test::RefusedCase> cases = {
      {"a(?=b)", Code::kUnsupported, "look-ahead (?="},
      {"a(?!b)", Code::kUnsupported, "look-ahead (?!"},
      {"(?<=a)b", Code::kUnsupported, "look-behind (?<="},
      {"(?<!a)b", Code::kUnsupported, "look-behind (?<!"},
      {"(?i)a", Code::kUnsupported, "flags"},
      {"(a)\\1", Code::kUnsupported, "back reference"},
      {"(?<n>a)\\k<n>", Code::kUnsupported, "back reference"},
      {"\\bword", Code::kUnsupported, "\\b"},
      {"a\\B", Code::kUnsupported, "\\B"},
      {"\\p{L}", Code::kUnsupported, "\\p"},
      {"\\Aa", Code::kUnsupported, "\\A"},
      {"\\012", Code::kUnsupported, "octal"},
      {"a^b", Code::kUnsupported, "anchor"},
      {"a$b", Code::kUnsupported, "anchor"},
      {"(a$)b", Code::kUnsupported, "anchor"},
      {"(^a)*", Code::kUnsupported, "anchor"},
      {"b(^a)", Code::kUnsupported, "anchor"},
      {"(", Code::kInvalidArgument, "without \")\""},
      {")", Code::kInvalidArgument, "without \"(\""},
      {"[a", Code::kInvalidArgument, "without \"]\""},
      {"[b-a]", Code::kInvalidArgument, "wrong order"},
      {"[a-\\d]", Code::kInvalidArgument, "class where a range ends"},
      {"*a", Code::kInvalidArgument, "nothing"},
      {"a**", Code::kInvalidArgument, "repetition of a repetition"},
      {"a{2", Code::kInvalidArgument, "\"}\""},
      {"a{3,2}", Code::kInvalidArgument, "wrong order"},
      {"{2}", Code::kInvalidArgument, "nothing"},
      {"\\", Code::kInvalidArgument, "backslash"},
      {"\\x4", Code::kInvalidArgument, "\\x"},
      {"\\u12", Code::kInvalidArgument, "\\u"},
      {"\\u{110000}", Code::kInvalidArgument, "code point"},
      {"\\ud800", Code::kInvalidArgument, "surrogate"},
      {"(?<name", Code::kInvalidArgument, "name"},
      {"\xFF", Code::kInvalidArgument, "UTF-8"},
      {"[]", Code::kInvalidArgument, "no text"},
      {"a{1000000}", Code::kBudget, "repeated"},
      {"(a|b)*a(a|b){40}", Code::kBudget, "deterministic"},
      {std::string(100000, '('), Code::kBudget, "nested"},
  };
  test::check_refused(cases, Grammar::from_regex);
}

}  // namespace
}  // namespace kette
