// Expressions by operator precedence, with the waiting operators on a stack of our own: only brackets recurse.
#include <charconv>

#include "chat/emitter.h"

namespace kette::jinja {
namespace {

// Levels as in jinja2/parser.py, loosest first. `not` is a prefix between `and` and the comparisons.
constexpr int kOrLevel = 1, kAndLevel = 2, kNotLevel = 3, kCompareLevel = 4, kConcatLevel = 6;

struct BinaryOperator {
  std::string_view text;
  int8_t level;
  Op op;
};
constexpr BinaryOperator kBinaryOperators[] = {
    {"==", kCompareLevel, Op::kEqual},
    {"!=", kCompareLevel, Op::kNotEqual},
    {"<", kCompareLevel, Op::kLess},
    {"<=", kCompareLevel, Op::kLessEqual},
    {">", kCompareLevel, Op::kGreater},
    {">=", kCompareLevel, Op::kGreaterEqual},
    {"+", 5, Op::kAdd},
    {"-", 5, Op::kSubtract},
    {"~", kConcatLevel, Op::kConcat},
    {"*", 7, Op::kMultiply},
    {"/", 7, Op::kDivide},
    {"//", 7, Op::kFloorDivide},
    {"%", 7, Op::kModulo},
    {"**", 8, Op::kPower},
};
constexpr BinaryOperator kBinaryNames[] = {
    {"or", kOrLevel, Op::kJumpIfTrueKeep},
    {"and", kAndLevel, Op::kJumpIfFalseKeep},
    {"in", kCompareLevel, Op::kIn},
};

}  // namespace

MacroInfo* ExpressionCompiler::enclosing_macro() {
  return open_macros_.empty() ? nullptr : &program.macros[open_macros_.back()];
}

bool ExpressionCompiler::enter() {
  if (!ok()) return false;
  if (nesting_ >= kMaxNesting) {
    fail("expressions are nested deeper than " + std::to_string(kMaxNesting));
    return false;
  }
  ++nesting_;
  return true;
}

// `value if condition else other`: the value's code was written first, so it is moved behind the condition's.
void ExpressionCompiler::expression() {
  if (!enter()) return;
  std::vector<int32_t> ends;
  int32_t start = here();
  int without_else = 0;
  operators();
  while (ok() && skip_name("if")) {
    const std::vector<Instruction> value = cut(start);
    operators();
    const int32_t otherwise = emit(Op::kJumpIfFalse);
    append(value);
    const int32_t end = emit(Op::kJump);
    land(otherwise);
    if (skip_name("else")) {
      ends.push_back(end);
      start = here();
      without_else = 0;
      operators();
    } else {
      emit(Op::kUndefined);
      land(end);
      if (++without_else > kMaxNesting) fail("too many inline ifs in a row");
    }
  }
  for (const int32_t end : ends) land(end);
  leave();
}

void ExpressionCompiler::operators() {
  const size_t base = pending_.size();
  while (ok()) {
    while (at_name("not")) {
      if (pending_.size() > base && pending_.back().level > kNotLevel) return fail_unexpected();
      next();
      pending_.push_back({Op::kNot, kNotLevel, 0, 0, {}});
    }
    operand();
    if (!ok() || !binary_operator(base)) break;
  }
  reduce(base, 0);
}

// Emits what waits above `base` and binds at least as tightly as `level`.
void ExpressionCompiler::reduce(size_t base, int level) {
  while (pending_.size() > base && pending_.back().level >= level) {
    const Pending& top = pending_.back();
    if (top.level == kOrLevel || top.level == kAndLevel) {
      land(top.jump);
    } else {
      emit(top.op, top.count);
      for (const int32_t jump : top.chain) land(jump);
    }
    pending_.pop_back();
  }
}

bool ExpressionCompiler::binary_operator(size_t base) {
  const BinaryOperator* found = nullptr;
  if (at(TokenKind::kOperator)) {
    for (const auto& row : kBinaryOperators)
      if (now().text == row.text) found = &row;
  } else if (at(TokenKind::kName)) {
    for (const auto& row : kBinaryNames)
      if (now().text == row.text) found = &row;
  }
  static constexpr BinaryOperator kNotIn{"not in", kCompareLevel, Op::kNotIn};
  if (found == nullptr && at_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
    next();
    found = &kNotIn;
  }
  if (found == nullptr) return false;
  next();
  // Comparisons chain and ~ collects; every other operator groups to the left.
  const bool joins = found->level == kCompareLevel || found->level == kConcatLevel;
  reduce(base, joins ? found->level + 1 : found->level);
  const bool again = pending_.size() > base && pending_.back().level == found->level;
  if (found->level == kCompareLevel && again) {
    Pending& top = pending_.back();
    emit(Op::kTuck);
    emit(top.op);
    top.chain.push_back(emit(Op::kJumpChain));
    top.op = found->op;
  } else if (found->level == kConcatLevel && again) {
    ++pending_.back().count;
  } else {
    const int32_t jump = found->level <= kAndLevel ? emit(found->op) : 0;
    pending_.push_back({found->op, found->level, jump, found->level == kConcatLevel ? 2 : 0, {}});
  }
  return true;
}

void ExpressionCompiler::operand() {
  std::string signs;
  while (at_operator("-") || at_operator("+")) {
    signs += now().text;
    next();
  }
  primary();
  postfix();
  for (; !signs.empty(); signs.pop_back()) emit(signs.back() == '-' ? Op::kNegative : Op::kPositive);
  filter_tail();
}

void ExpressionCompiler::primary() {
  switch (now().kind) {
    case TokenKind::kName: return name_or_constant();
    case TokenKind::kInteger:
    case TokenKind::kFloat: return number();
    case TokenKind::kString: {
      std::string text;
      for (; at(TokenKind::kString); next()) text += now().text;
      emit(Op::kString, string(text));
      return;
    }
    default: break;
  }
  if (at_operator("(")) return parenthesized();
  if (at_operator("[")) return list();
  if (at_operator("{")) return dict();
  fail_unexpected();
}

void ExpressionCompiler::load(std::string_view text) {
  const int32_t id = name(text);
  if (MacroInfo* macro = enclosing_macro()) {
    macro->takes_caller |= id == kCallerName;
    macro->takes_varargs |= id == kVarargsName;
    macro->takes_kwargs |= id == kKwargsName;
  }
  emit(Op::kLoad, id);
}

void ExpressionCompiler::name_or_constant() {
  const std::string_view text = now().text;
  next();
  if (text == "true" || text == "True") {
    emit(Op::kTrue);
  } else if (text == "false" || text == "False") {
    emit(Op::kFalse);
  } else if (text == "none" || text == "None") {
    emit(Op::kNone);
  } else {
    load(text);
  }
}

void ExpressionCompiler::number() {
  std::string_view text = now().text;
  const char* end = text.data() + text.size();
  if (at(TokenKind::kFloat)) {
    double value = 0;
    const auto [stop, problem] = std::from_chars(text.data(), end, value);
    if (problem != std::errc()) return fail("the number '" + excerpt(text, 40) + "' is out of range");
    program.floats.push_back(value);
    emit(Op::kFloat, static_cast<int32_t>(program.floats.size()) - 1);
  } else {
    const char prefix = text.size() > 2 ? static_cast<char>(text[1] | 0x20) : '0';
    const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    int64_t value = 0;
    const auto [stop, problem] = std::from_chars(text.data() + (base == 10 ? 0 : 2), end, value, base);
    if (problem != std::errc()) return fail("the number '" + excerpt(text, 40) + "' is out of range");
    program.integers.push_back(value);
    emit(Op::kInteger, static_cast<int32_t>(program.integers.size()) - 1);
  }
  next();
}

void ExpressionCompiler::tuple(bool with_if) {
  int32_t count = 0;
  bool comma = false;
  while (ok()) {
    if (at(TokenKind::kPrintEnd) || at(TokenKind::kTagEnd) || at_operator(")") || at_name("recursive")) break;
    if (with_if) {
      expression();
    } else {
      operators();
    }
    ++count;
    if (!skip_operator(",")) break;
    comma = true;
  }
  if (count == 0) return fail_unexpected();
  if (comma) emit(Op::kTuple, count);
}

void ExpressionCompiler::parenthesized() {
  next();
  if (at_operator(")")) {
    emit(Op::kTuple, 0);
  } else {
    tuple();
  }
  expect_operator(")");
}

void ExpressionCompiler::list() {
  next();
  int32_t count = 0;
  while (ok() && !at_operator("]")) {
    expression();
    ++count;
    if (!skip_operator(",")) break;
  }
  expect_operator("]");
  emit(Op::kList, count);
}

void ExpressionCompiler::dict() {
  next();
  int32_t count = 0;
  while (ok() && !at_operator("}")) {
    expression();
    expect_operator(":");
    expression();
    ++count;
    if (!skip_operator(",")) break;
  }
  expect_operator("}");
  emit(Op::kDict, count);
}

void ExpressionCompiler::postfix() {
  while (ok()) {
    if (at_operator("(")) {
      emit(Op::kCall, static_cast<int32_t>(arguments({})));
    } else if (at_operator("[")) {
      subscript();
    } else if (skip_operator(".")) {
      if (at(TokenKind::kInteger)) {
        number();
        emit(Op::kItem);
      } else {
        emit(Op::kAttribute, name(expect_any_name()));
      }
    } else {
      return;
    }
  }
}

// [key], [start:stop:step] with any part left out, or [a, b].
void ExpressionCompiler::subscript() {
  next();
  int32_t keys = 0;
  bool slice = false;
  do {
    if (keys > 0 && at_operator("]")) break;
    if (at_operator(":")) {
      emit(Op::kNone);
    } else {
      expression();
    }
    if (skip_operator(":")) {
      slice = true;
      if (at_operator(":") || at_operator("]")) {
        emit(Op::kNone);
      } else {
        expression();
      }
      if (skip_operator(":") && !at_operator("]")) {
        expression();
      } else {
        emit(Op::kNone);
      }
    }
    ++keys;
  } while (ok() && skip_operator(","));
  expect_operator("]");
  if (slice && keys > 1) return fail("a slice inside a tuple is not supported");
  if (keys > 1) emit(Op::kTuple, keys);
  emit(slice ? Op::kSlice : Op::kItem);
}

uint32_t ExpressionCompiler::arguments(std::string_view callee) {
  CallSite call;
  call.callee = callee;
  if (skip_operator("(")) {
    while (ok() && !at_operator(")")) {
      if (skip_operator("*")) {
        if (call.star || call.star_star) fail("unexpected '*'");
        call.star = true;
        expression();
      } else if (skip_operator("**")) {
        if (call.star_star) fail("unexpected '**'");
        call.star_star = true;
        expression();
      } else if (at(TokenKind::kName) && ahead().kind == TokenKind::kOperator && ahead().text == "=") {
        if (call.star || call.star_star) fail("keyword arguments must come before '*' and '**'");
        call.names.emplace_back(now().text);
        next();
        next();
        expression();
      } else {
        if (call.star || call.star_star || !call.names.empty()) fail("a positional argument follows another kind");
        ++call.positional;
        expression();
      }
      if (!skip_operator(",")) break;
    }
    expect_operator(")");
  }
  program.calls.push_back(std::move(call));
  return static_cast<uint32_t>(program.calls.size()) - 1;
}

std::string ExpressionCompiler::dotted_name() {
  std::string text(expect_any_name());
  while (ok() && skip_operator(".")) text.append(".").append(expect_any_name());
  return text;
}

void ExpressionCompiler::filters() {
  while (ok() && skip_operator("|")) {
    const std::string callee = dotted_name();
    emit(Op::kFilter, static_cast<int32_t>(arguments(callee)));
  }
}

void ExpressionCompiler::filter_tail() {
  while (ok()) {
    if (at_operator("|")) {
      filters();
    } else if (skip_name("is")) {
      test();
    } else if (at_operator("(")) {
      emit(Op::kCall, static_cast<int32_t>(arguments({})));
    } else {
      return;
    }
  }
}

void ExpressionCompiler::test() {
  const bool negated = skip_name("not");
  const std::string callee = dotted_name();
  uint32_t call = 0;
  const bool starts_operand = at(TokenKind::kName) || at(TokenKind::kString) || at(TokenKind::kInteger) ||
                              at(TokenKind::kFloat) || at_operator("[") || at_operator("{");
  if (starts_operand && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) return fail("tests cannot be chained with 'is'");
    // `x is divisibleby 3`: one operand, that may be any primary: guard the way back here.
    if (!enter()) return;
    primary();
    postfix();
    leave();
    CallSite site;
    site.callee = callee;
    site.positional = 1;
    program.calls.push_back(std::move(site));
    call = static_cast<uint32_t>(program.calls.size()) - 1;
  } else {
    call = arguments(callee);
  }
  emit(Op::kTest, static_cast<int32_t>(call));
  if (negated) emit(Op::kNot);
}

}  // namespace kette::jinja
