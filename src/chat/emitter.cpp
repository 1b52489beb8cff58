#include "chat/emitter.h"

namespace kette::jinja {

Emitter::Emitter(const std::vector<Token>& tokens) : tokens_(tokens) {
  for (const char* reserved : kReservedNames) name(reserved);
}

void Emitter::fail(std::string_view what) {
  if (ok()) status = error(Code::kFormat, "template line {}: {}", now().line, what);
}

void Emitter::fail_unexpected() {
  switch (now().kind) {
    case TokenKind::kEnd: return fail("the template ends too early");
    case TokenKind::kPrintEnd:
    case TokenKind::kTagEnd: return fail("the tag ends too early");
    case TokenKind::kData: return fail("unexpected text");
    case TokenKind::kTagBegin:
    case TokenKind::kPrintBegin: return fail("unexpected tag");
    default: return fail("unexpected '" + excerpt(now().text, 40) + "'");
  }
}

bool Emitter::skip_operator(std::string_view text) {
  const bool found = at_operator(text);
  if (found) next();
  return found;
}

bool Emitter::skip_name(std::string_view text) {
  const bool found = at_name(text);
  if (found) next();
  return found;
}

void Emitter::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail("expected '" + std::string(text) + "'");
}

void Emitter::expect(TokenKind kind) {
  if (!at(kind)) return fail_unexpected();
  next();
}

std::string_view Emitter::expect_any_name() {
  if (!at(TokenKind::kName)) {
    fail_unexpected();
    return {};
  }
  const std::string_view text = now().text;
  next();
  return text;
}

int32_t Emitter::emit(Op op, int32_t a, int32_t b) {
  if (program.code.size() < kMaxCode) {
    program.code.push_back({op, now().line, a, b});
  } else if (ok()) {
    status = error(Code::kBudget, "template line {}: more than {} instructions", now().line, kMaxCode);
  }
  return here() - 1;
}

std::vector<Instruction> Emitter::cut(int32_t from) {
  const auto begin = program.code.begin() + from;
  std::vector<Instruction> code(begin, program.code.end());
  program.code.erase(begin, program.code.end());
  return code;
}

void Emitter::append(const std::vector<Instruction>& code) {
  for (const Instruction& i : code) {
    emit(i.op, i.a, i.b);
    program.code.back().line = i.line;
  }
}

int32_t Emitter::name(std::string_view text) {
  if (const auto found = name_ids_.find(text); found != name_ids_.end()) return found->second;
  const auto id = static_cast<int32_t>(program.names.size());
  program.names.emplace_back(text);
  name_ids_.emplace(text, id);
  return id;
}

int32_t Emitter::string(std::string_view text) {
  program.strings.emplace_back(text);
  return static_cast<int32_t>(program.strings.size()) - 1;
}

}  // namespace kette::jinja
