// Masks against the definition: every token, asked for one by one. On grammars, texts and vocabularies made at random, and
// with characters that are split over tokens.
#include <random>
#include <thread>

#include "sample/plain_text.h"
#include "support/grammar.h"

namespace kette {
namespace {

using test::index_of;
using test::matcher_of;

bool bit(const std::vector<uint32_t>& bits, size_t t) { return (bits[t / 32] >> t % 32 & 1) != 0; }

// A copy that takes the token says whether it may follow.
bool allowed(const GrammarMatcher& matcher, int32_t token) {
  GrammarMatcher copy = matcher;
  return copy.accept_token(token).ok();
}

void check_mask(GrammarMatcher& matcher) {
  const size_t n = matcher.constraint().tokens().size();
  std::vector<uint32_t> bits(matcher.constraint().tokens().mask_words() + 2, 0xffffffffu);
  const Status status = matcher.fill_mask(bits);
  bool any = false, same = true;
  for (size_t t = 0; t < n; ++t) {
    const bool expected = allowed(matcher, static_cast<int32_t>(t));
    any |= expected;
    same &= !status.ok() || bit(bits, t) == expected;
    if (status.ok() && bit(bits, t) != expected) {
      CAPTURE(t);
      CAPTURE(std::string(matcher.constraint().tokens().bytes_of(static_cast<int32_t>(t))));
      CHECK(bit(bits, t) == expected);
    }
  }
  CHECK(same);
  CHECK(status.ok() == any);
  if (!status.ok()) CHECK(status.code() == Code::kGrammarDeadEnd);
  if (status.ok())
    for (size_t t = n; t < bits.size() * 32; ++t) CHECK_FALSE(bit(bits, t));
}

// Tokens of all lengths: bytes, pieces of texts, pieces of characters, doubles, and some without bytes.
std::vector<std::string> random_vocabulary(std::mt19937& random) {
  const std::string_view pieces[] = {"a",
                                     "b",
                                     "ab",
                                     "{",
                                     "}",
                                     "\"",
                                     "\":",
                                     ", ",
                                     "[",
                                     "]",
                                     "1",
                                     "12",
                                     ".",
                                     "\\",
                                     "\\n",
                                     "\n ",
                                     "true",
                                     "\xC3\xA9",
                                     "\xC3",
                                     "\xA9",
                                     "\xE2\x82\xAC",
                                     "\xE2\x82",
                                     "\xF0\x9F\x98\x80",
                                     "\xF0\x9F",
                                     "\x7f",
                                     " "};
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b)
    if (b < 128 || random() % 4 != 0) tokens.emplace_back(1, static_cast<char>(b));
  for (int i = 0; i < 300; ++i) {
    std::string token;
    for (size_t n = random() % 5 + random() % 2 * (random() % 40); n-- > 0;)
      token += pieces[random() % std::size(pieces)];
    tokens.push_back(token);
  }
  return tokens;
}

std::string random_gbnf(std::mt19937& random) {
  // Rules call later ones alone at their beginnings, and any behind a byte.
  const size_t rules = 1 + random() % 4;
  const auto name = [](size_t r) { return r == 0 ? std::string("root") : "r" + std::to_string(r); };
  std::string out;
  for (size_t r = 0; r < rules; ++r) {
    out += name(r) + " ::= ";
    const size_t ways = 1 + random() % 3;
    for (size_t w = 0; w < ways; ++w) {
      if (w > 0) out += " | ";
      const size_t parts = 1 + random() % 4;
      bool read = false;
      for (size_t p = 0; p < parts; ++p) {
        switch (random() % 6) {
          case 0: out += "\"ab\" ", read = true; break;
          case 1: out += "[^\"\\\\\\x00-\\x1f]", read = true; break;
          case 2: out += "[a-c\xC3\xA9]", read = true; break;
          case 3: out += random() % 2 != 0 ? "\"\\\"\" " : "\"[\" ", read = true; break;
          case 4: out += "(\"a\" | \"\xE2\x82\xAC\" \"1\"?)", read = true; break;
          default:
            if (read)
              out += "\"]\" " + name(random() % rules);
            else if (r + 1 < rules)
              out += name(r + 1 + random() % (rules - r - 1));
            else
              out += "\"1\"", read = true;
        }
        const char* repeats[] = {"", "", "?", "*", "+", "{2,3}", "{0,9}"};
        const size_t repeat = random() % std::size(repeats);
        out += repeats[repeat];
        if (repeat == 2 || repeat == 3 || repeat == 6) read = false;
        out += " ";
      }
    }
    out += "\n";
  }
  return out;
}

// From the beginning along allowed tokens, chosen at random.
void walk(const Grammar::Pointer& grammar, const std::vector<std::string>& tokens, std::mt19937& random, int steps) {
  std::vector<std::string> all = tokens;
  all.emplace_back();
  GrammarMatcher matcher = matcher_of(grammar, index_of(all, {static_cast<int32_t>(tokens.size())}));
  for (int i = 0; i < steps; ++i) {
    check_mask(matcher);
    std::vector<int32_t> next;
    for (size_t t = 0; t < tokens.size(); ++t)
      if (allowed(matcher, static_cast<int32_t>(t))) next.push_back(static_cast<int32_t>(t));
    if (next.empty()) return;
    // Long tokens are rarer and lead further.
    int32_t token = next[random() % next.size()];
    for (int j = 0; j < 2; ++j) {
      const int32_t other = next[random() % next.size()];
      if (tokens[static_cast<size_t>(other)].size() > tokens[static_cast<size_t>(token)].size()) token = other;
    }
    REQUIRE(matcher.accept_token(token).ok());
  }
}

TEST_CASE("a mask is what accepting each token says, on random grammars") {
  std::mt19937 random(7);
  int made = 0;
  for (int round = 0; round < 150; ++round) {
    const std::string source = random_gbnf(random);
    CAPTURE(source);
    const auto grammar = Grammar::from_gbnf(source);
    if (!grammar.ok()) {
      CHECK((grammar.status().code() == Code::kInvalidArgument || grammar.status().code() == Code::kUnsupported));
      continue;
    }
    ++made;
    walk(*grammar, random_vocabulary(random), random, 8);
  }
  CHECK(made > 80);
}

TEST_CASE("a mask is what accepting each token says, on JSON schemas") {
  std::mt19937 random(8);
  for (const char* schema :
       {"{}", "{\"type\":\"string\",\"maxLength\":7}", "{\"type\":\"string\",\"minLength\":3,\"maxLength\":2000}",
        "{\"type\":\"string\",\"pattern\":\"^[^b]{0,5}1*$\"}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":3},\"b\":{\"type\":\"number\"}},"
        "\"additionalProperties\":{\"type\":\"array\"}}",
        "{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"integer\",\"boolean\"]},\"minItems\":1,\"maxItems\":"
        "3}"}) {
    CAPTURE(schema);
    const auto grammar = Grammar::from_json_schema(schema);
    REQUIRE(grammar.ok());
    for (int round = 0; round < 6; ++round) walk(*grammar, random_vocabulary(random), random, 12);
  }
}

TEST_CASE("a copy goes back; a refused token changes nothing") {
  const auto grammar = *Grammar::from_json_schema("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}");
  GrammarMatcher matcher = matcher_of(grammar);
  REQUIRE(matcher.accept("[1,").ok());
  GrammarMatcher copy = matcher;
  REQUIRE(copy.accept("2]").ok());
  CHECK(copy.can_end());
  CHECK(copy.dead());
  CHECK_FALSE(matcher.can_end());
  CHECK_FALSE(matcher.dead());
  const Status status = matcher.accept("2]x");
  CHECK(status.code() == Code::kGrammarDeadEnd);
  CHECK(status.message().find("byte 3 of 3") != std::string::npos);
  CHECK(matcher.accept("3]").ok());
  CHECK(matcher.can_end());
  CHECK(matcher.accept("").ok());
}

TEST_CASE("ends and tokens without text") {
  const std::vector<std::string> tokens = {"a", "b", "", "<end>", "<other>"};
  const auto index = index_of(tokens, {3});
  GrammarMatcher matcher = matcher_of(*Grammar::from_gbnf("root ::= \"a\" \"b\"?"), index);
  std::vector<uint32_t> bits(1);
  REQUIRE(matcher.fill_mask(bits).ok());
  CHECK(bits[0] == 1);
  CHECK(matcher.accept_token(3).code() == Code::kGrammarDeadEnd);
  CHECK(matcher.accept_token(2).code() == Code::kGrammarDeadEnd);
  CHECK(matcher.accept_token(-1).code() == Code::kGrammarDeadEnd);
  CHECK(matcher.accept_token(5).code() == Code::kGrammarDeadEnd);
  REQUIRE(matcher.accept_token(0).ok());
  REQUIRE(matcher.fill_mask(bits).ok());
  CHECK(bits[0] == (2 | 8));
  CHECK(matcher.accept_token(3).ok());
  REQUIRE(matcher.accept_token(1).ok());
  REQUIRE(matcher.fill_mask(bits).ok());
  CHECK(bits[0] == 8);
  std::vector<uint32_t> none;
  CHECK(matcher.fill_mask(none).code() == Code::kInvalidArgument);
  // The spelling of an end is not text, even where the grammar allows any.
  GrammarMatcher any = matcher_of(*Grammar::from_gbnf("root ::= .*"), index);
  REQUIRE(any.fill_mask(bits).ok());
  CHECK(bits[0] == (1 | 2 | 8 | 16));
}

TEST_CASE("a vocabulary that lacks what must come is a dead end, told as such") {
  GrammarMatcher matcher = matcher_of(*Grammar::literal("ax"), index_of({"a", "b"}, {1}));
  std::vector<uint32_t> bits(1);
  REQUIRE(matcher.fill_mask(bits).ok());
  REQUIRE(matcher.accept("a").ok());
  CHECK(matcher.fill_mask(bits).code() == Code::kGrammarDeadEnd);
  CHECK(bits[0] == 0);
  CHECK_FALSE(matcher.dead());
  GrammarMatcher whole = matcher_of(*Grammar::literal("a"), index_of({"a", "b"}));
  REQUIRE(whole.accept("a").ok());
  const Status status = whole.fill_mask(bits);
  CHECK(status.code() == Code::kGrammarDeadEnd);
  CHECK(status.message().find("end-of-turn") != std::string::npos);
}

TEST_CASE("characters split over tokens") {
  const std::vector<std::string> tokens = {"\"",   "\xF0", "\x9F\x98", "\x80",      "\xF0\x9F", "\x98\x80\"",
                                           "\xC3", "\xFF", "\xED\xA0", "a\xE2\x82", "\xAC"};
  GrammarMatcher matcher = matcher_of(*Grammar::from_json_schema("{\"type\":\"string\"}"), index_of(tokens));
  const auto mask = [&] {
    std::vector<uint32_t> bits(1);
    REQUIRE(matcher.fill_mask(bits).ok());
    check_mask(matcher);
    return bits[0];
  };
  CHECK(mask() == 1);
  REQUIRE(matcher.accept_token(0).ok());
  CHECK(mask() == (1u | 1u << 1 | 1u << 4 | 1u << 6 | 1u << 9));
  REQUIRE(matcher.accept_token(4).ok());
  CHECK(mask() == (1u << 2 | 1u << 3 | 1u << 5 | 1u << 10));
  REQUIRE(matcher.accept_token(5).ok());
  CHECK(matcher.can_end());
}

TEST_CASE("plain characters are counted") {
  CHECK(count_plain("") == 0);
  CHECK(count_plain("abc d") == 5);
  CHECK(count_plain("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == 3);
  for (const char* text : {"\"", "\\", "a\n", "\x7f", "\xC3", "\xA9", "\xC0\x80", "\xED\xA0\x80", "\xE0\x80\x80",
                           "\xF4\x90\x80\x80", "\xF0\x80\x80\x80", "a\xE2\x82"})
    CHECK(count_plain(text) == 0);
}

TEST_CASE("a long answer moves on to fresh states, and copies that stayed behind go on") {
  const auto grammar = *Grammar::from_json_schema("{\"type\":\"string\",\"maxLength\":130000}");
  GrammarMatcher matcher = matcher_of(grammar);
  REQUIRE(matcher.accept("\"").ok());
  GrammarMatcher early = matcher;
  const std::string hundred(100, 'x');
  bool ok = true;
  for (int i = 0; i < 1300; ++i) ok &= matcher.accept(hundred).ok();
  CHECK(ok);
  check_mask(matcher);
  CHECK_FALSE(matcher.accept("x").ok());
  CHECK(matcher.accept("\"").ok());
  CHECK(matcher.can_end());
  CHECK(early.accept("x").ok());
  check_mask(early);
  CHECK(early.accept("\"").ok());
}

TEST_CASE("threads share what they find") {
  const auto grammar = *Grammar::from_json_schema("{}");
  std::mt19937 random(9);
  const std::vector<std::string> tokens = random_vocabulary(random);
  const auto constraint = Constraint::make(grammar, index_of(tokens));
  REQUIRE(constraint.ok());
  std::vector<std::vector<uint32_t>> last(4);
  std::vector<std::thread> threads;
  for (std::vector<uint32_t>& bits : last)
    threads.emplace_back([&bits, &constraint] {
      GrammarMatcher matcher(*constraint);
      bits.resize((*constraint)->tokens().mask_words());
      for (const char* text : {"{\"a\"", ":[", "1,", "\"b\xC3", "\xA9", "\"", "]", ","})
        if (!matcher.accept(text).ok() || !matcher.fill_mask(bits).ok()) bits.clear();
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& bits : last) CHECK((!bits.empty() && bits == last[0]));
}

}  // namespace
}  // namespace kette
