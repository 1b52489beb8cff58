// An answer of any bytes, whole and in cuts that its own bytes choose: the same pieces. The first byte chooses how.
#include "chat/answer_parser.h"
#include "fuzz/target.h"
#include "support/answer.h"

namespace {

using kette::AnswerPiece;
using kette::AnswerStart;
using kette::test::must;
using Kind = AnswerPiece::Kind;

// Calls are name, arguments, end; nothing else is empty.
void check_order(const std::vector<AnswerPiece>& pieces) {
  bool in_call = false;
  for (const AnswerPiece& piece : pieces) {
    must(in_call == (piece.kind == Kind::kToolArguments || piece.kind == Kind::kToolEnd));
    must(piece.text.empty() == (piece.kind == Kind::kToolEnd));
    must(piece.kind == Kind::kToolEnd || !piece.malformed);
    if (piece.kind == Kind::kToolName) in_call = true;
    if (piece.kind == Kind::kToolEnd) in_call = false;
  }
  must(!in_call);
}

// What the pieces hold is the answer without its markup, in order; arguments that came before their name, and escapes
// in names, are the exceptions.
void check_bytes(const std::vector<AnswerPiece>& pieces, std::string_view answer) {
  for (const AnswerPiece& piece : pieces) {
    if (piece.kind == Kind::kToolName || piece.kind == Kind::kToolArguments) continue;
    for (const char c : piece.text) {
      const size_t at = answer.find(c);
      must(at != answer.npos);
      answer.remove_prefix(at + 1);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr const char* kTools[] = {"", "hermes", "llama3", "deepseek_v3", "deepseek_v3_1"};
  if (size == 0) return 0;
  const unsigned how = data[0];
  const std::string_view answer = kette::test::as_text(data, size).substr(1);
  kette::Dialect dialect = kette::test::dialect_of(kTools[how % 5]);
  const bool tags = how / 5 % 2 == 0;
  if (!tags) dialect.thinking = {};
  const auto start = static_cast<AnswerStart>(how / 10 % 3);
  const auto parser = [&] { return kette::AnswerParser(dialect, start, true); };

  const auto whole = kette::test::joined(kette::test::parse_whole(parser(), answer));
  check_order(whole);
  check_bytes(whole, answer);
  must(kette::test::joined(kette::test::parse_cut(parser(), answer, [] { return size_t{0}; })) == whole);
  size_t next = 0;
  must(kette::test::joined(kette::test::parse_cut(
           parser(), answer, [&] { return static_cast<size_t>(data[next++ % size] % 17); })) == whole);
  if (!tags && dialect.tools == nullptr)
    must(kette::test::line(whole) == (answer.empty() ? "" : "[text " + std::string(answer) + "]"));

  // As control tokens: each beginning with "<" and ending with ">". No crash, and calls in order.
  kette::AnswerParser special = parser();
  std::vector<AnswerPiece> pieces;
  for (std::string_view rest = answer; !rest.empty();) {
    const size_t end = rest.front() == '<' ? rest.find('>') : rest.find('<') - 1;
    const std::string_view token = rest.substr(0, end == rest.npos ? end : end + 1);
    special.push(token, token.front() == '<', pieces);
    rest.remove_prefix(token.size());
  }
  special.finish(pieces);
  check_order(kette::test::joined(pieces));
  return 0;
}
