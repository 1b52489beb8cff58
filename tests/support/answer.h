// An answer taken apart, in one piece or in others, and as a line that can be compared: "[think x][text y][call f][args
// {}][end]", a broken call with "[broken]" for "[end]".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/answer_parser.h"

namespace kette::test {

// Pieces of one kind that follow each other are one.
inline std::vector<AnswerPiece> joined(const std::vector<AnswerPiece>& pieces) {
  using Kind = AnswerPiece::Kind;
  std::vector<AnswerPiece> all;
  for (const AnswerPiece& piece : pieces) {
    const bool streams = piece.kind != Kind::kToolName && piece.kind != Kind::kToolEnd;
    if (streams && !all.empty() && all.back().kind == piece.kind)
      all.back().text += piece.text;
    else
      all.push_back(piece);
  }
  return all;
}

inline std::string line(const std::vector<AnswerPiece>& pieces) {
  static constexpr const char* kNames[] = {"think ", "text ", "call ", "args ", "end"};
  std::string all;
  for (const AnswerPiece& piece : joined(pieces)) {
    if (piece.malformed)
      all += "[broken]";
    else
      all += "[" + std::string(kNames[static_cast<size_t>(piece.kind)]) + piece.text + "]";
  }
  return all;
}

// Cut into lengths of 1 + next(): next() is called for each.
template <class Next>
std::vector<AnswerPiece> parse_cut(AnswerParser parser, std::string_view answer, Next&& next) {
  std::vector<AnswerPiece> pieces;
  while (!answer.empty()) {
    const std::string_view part = answer.substr(0, 1 + next());
    parser.push(part, false, pieces);
    answer.remove_prefix(part.size());
  }
  parser.finish(pieces);
  return pieces;
}

inline std::vector<AnswerPiece> parse_whole(AnswerParser parser, std::string_view answer) {
  return parse_cut(std::move(parser), answer, [&] { return answer.size(); });
}

// A dialect without a template: tags of thoughts, and the named way of writing calls.
inline Dialect dialect_of(std::string_view tools) {
  Dialect dialect;
  dialect.thinking.open = "<think>";
  dialect.thinking.close = "</think>";
  for (const ToolDialect* known : tool_dialects())
    if (known->name == tools) dialect.tools = known;
  return dialect;
}

}  // namespace kette::test
