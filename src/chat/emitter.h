// What both halves of the compiler stand on: the token cursor, the code being written, and the first error.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "chat/budget.h"
#include "chat/lexer.h"
#include "chat/program.h"

namespace kette::jinja {

class Emitter {
 public:
  explicit Emitter(const std::vector<Token>& tokens);

  bool ok() const { return status.ok(); }
  void fail(std::string_view what);  // at the current token; the first error stays
  void fail_unexpected();            // the current token has no place here

  const Token& now() const { return tokens_[pos_]; }
  const Token& ahead() const { return tokens_[pos_ + 1 < tokens_.size() ? pos_ + 1 : pos_]; }
  void next() {
    if (pos_ + 1 < tokens_.size()) ++pos_;
  }
  bool at(TokenKind kind) const { return now().kind == kind; }
  bool at_operator(std::string_view text) const { return at(TokenKind::kOperator) && now().text == text; }
  bool at_name(std::string_view text) const { return at(TokenKind::kName) && now().text == text; }
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  void expect(TokenKind kind);
  std::string_view expect_any_name();  // empty after a failure

  int32_t here() const { return static_cast<int32_t>(program.code.size()); }
  int32_t emit(Op op, int32_t a = 0, int32_t b = 0);
  void land(int32_t jump) { program.code[static_cast<size_t>(jump)].a = here() - jump; }  // jump here
  void emit_back(Op op, int32_t target) { emit(op, target - here()); }
  std::vector<Instruction> cut(int32_t from);  // takes the code since `from` out again
  void append(const std::vector<Instruction>& code);
  int32_t name(std::string_view text);
  int32_t string(std::string_view text);

  Program program;
  Status status;

 private:
  const std::vector<Token>& tokens_;
  size_t pos_ = 0;
  std::map<std::string, int32_t, std::less<>> name_ids_;
};

// Expressions. They leave code that pushes one value.
class ExpressionCompiler : public Emitter {
 public:
  using Emitter::Emitter;

 protected:
  void expression();
  void expression_without_if() { operators(); }
  void tuple(bool with_if = true);              // expression, or several with commas
  void filters();                               // | name(...) ..., on the value on the stack
  uint32_t arguments(std::string_view callee);  // (...) if there is one -> index of the CallSite
  std::string dotted_name();                    // of a filter or test
  MacroInfo* enclosing_macro();

  int nesting_ = 0;
  std::vector<uint32_t> open_macros_;  // ids, innermost last

 private:
  struct Pending {  // an operator that waits for its right operand
    Op op;
    int8_t level;
    int32_t jump;                // `and`, `or`: to land after it
    int32_t count;               // ~: operands
    std::vector<int32_t> chain;  // comparisons: jumps to land after the last one
  };

  bool enter();
  void leave() { --nesting_; }
  void operators();
  bool binary_operator(size_t base);
  void reduce(size_t base, int level);
  void operand();
  void postfix();
  void filter_tail();
  void primary();
  void name_or_constant();
  void number();
  void parenthesized();
  void list();
  void dict();
  void subscript();
  void test();
  void load(std::string_view text);

  std::vector<Pending> pending_;
};

}  // namespace kette::jinja
