// Template source -> tokens, with Jinja's whitespace control as Hugging Face sets it: trim_blocks, lstrip_blocks,
// one trailing newline dropped.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kette::jinja {

enum class TokenKind : uint8_t {
  kData,
  kPrintBegin,
  kPrintEnd,
  kTagBegin,
  kTagEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  uint32_t line;
  std::string_view text;  // strings: the value; numbers: digits without underscores
};

// Views in `tokens` point into `source` and `decoded`; movable.
struct TokenList {
  std::unique_ptr<std::string> source;
  std::deque<std::string> decoded;
  std::vector<Token> tokens;
};

Result<TokenList> tokenize(std::string_view source);

}  // namespace kette::jinja
