// What the grammar tests share: whether a text is of a grammar, and small vocabularies.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sample/grammar.h"
#include "sample/grammar_matcher.h"
#include "sample/token_index.h"

namespace kette::test {

inline std::shared_ptr<const TokenIndex> index_of(const std::vector<std::string>& tokens,
                                                  std::vector<int32_t> ends = {}) {
  auto index = TokenIndex::build(
      tokens.size(), [&](int32_t t) { return std::string_view(tokens[static_cast<size_t>(t)]); }, ends);
  REQUIRE(index.ok());
  return *index;
}

// All bytes, and an end.
inline std::shared_ptr<const TokenIndex> byte_vocabulary() {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  tokens.emplace_back();
  return index_of(tokens, {256});
}

inline GrammarMatcher matcher_of(const Grammar::Pointer& grammar, std::shared_ptr<const TokenIndex> tokens = nullptr) {
  auto constraint = Constraint::make(grammar, tokens != nullptr ? std::move(tokens) : byte_vocabulary());
  INFO(constraint.status().message());
  REQUIRE(constraint.ok());
  return GrammarMatcher(*constraint);
}

// A whole text of the grammar?
inline bool matches(const Grammar::Pointer& grammar, std::string_view text) {
  GrammarMatcher matcher = matcher_of(grammar);
  return matcher.accept(text).ok() && matcher.can_end();
}

// Grammars of one kind with texts that are of them and texts that are not.
struct GrammarCase {
  const char* source;
  std::vector<std::string> accepted, rejected;
};

template <class Make>
void check_cases(const std::vector<GrammarCase>& cases, Make make) {
  for (const GrammarCase& c : cases) {
    CAPTURE(c.source);
    const auto grammar = make(c.source);
    CHECK_MESSAGE(grammar.ok(), grammar.status().message());
    if (!grammar.ok()) continue;
    for (const std::string& text : c.accepted) {
      CAPTURE(text);
      CHECK(matches(*grammar, text));
    }
    for (const std::string& text : c.rejected) {
      CAPTURE(text);
      CHECK_FALSE(matches(*grammar, text));
    }
  }
}

// Sources that are refused, how, and what the message must say.
struct RefusedCase {
  std::string source;
  Code code;
  const char* word;
};

template <class Make>
void check_refused(const std::vector<RefusedCase>& cases, Make make) {
  for (const RefusedCase& c : cases) {
    CAPTURE(c.source.substr(0, 300));
    const auto grammar = make(c.source);
    CHECK_FALSE(grammar.ok());
    if (grammar.ok()) continue;
    INFO(grammar.status().message());
    CHECK(grammar.status().code() == c.code);
    CHECK(grammar.status().message().find(c.word) != std::string::npos);
    CHECK(grammar.status().message().size() < 500);
  }
}

}  // namespace kette::test
