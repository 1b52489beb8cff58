// Statements. Open ones are kept on a stack of our own, so their nesting costs no recursion.
#include <iterator>

#include "chat/compiler.h"
#include "chat/emitter.h"

namespace kette::jinja {
namespace {

// What a `{% ... %}` opened and its end has to close.
struct Block {
  enum Kind : uint8_t { kIf, kFor, kSet, kFilter, kWith, kMacro, kCall, kGeneration };
  Kind kind;
  bool in_else = false;
  uint32_t line = 0;
  int32_t start = 0;          // for: the instruction that fetches the next item
  int32_t jump = 0;           // if: over this branch; for: out of the loop, then over else; macro: over its body
  std::vector<int32_t> ends;  // if: from the ends of the branches; for: breaks
  std::vector<int32_t> continues;
  std::vector<Instruction> pending;  // set, filter: what to do with the captured text
  int32_t call = 0;                  // call: its CallSite
};

constexpr std::string_view kOpenTags[] = {"if", "for", "set", "filter", "with", "macro", "call", "generation"};
constexpr std::string_view kEndTags[] = {"endif",   "endfor",   "endset",  "endfilter",
                                         "endwith", "endmacro", "endcall", "endgeneration"};

class Compiler : public ExpressionCompiler {
 public:
  using ExpressionCompiler::ExpressionCompiler;

  void compile() {
    while (ok() && !at(TokenKind::kEnd)) {
      if (at(TokenKind::kData)) {
        emit(Op::kText, string(now().text));
        next();
      } else if (at(TokenKind::kPrintBegin)) {
        next();
        tuple();
        emit(Op::kPrint);
        expect(TokenKind::kPrintEnd);
      } else {
        expect(TokenKind::kTagBegin);
        if (ok()) tag();
        expect(TokenKind::kTagEnd);
      }
    }
    if (ok() && !blocks_.empty())
      fail(fmt::format("'{}' of line {} is not closed", kOpenTags[blocks_.back().kind], blocks_.back().line));
    emit(Op::kReturn);
  }

 private:
  void tag() {
    const std::string_view word = now().text;
    if (!at(TokenKind::kName)) return fail_unexpected();
    next();
    if (word == "if") return open_if();
    if (word == "elif" || word == "else") return next_branch(word == "else");
    if (word == "for") return open_for();
    if (word == "set") return set();
    if (word == "filter") return open_filter();
    if (word == "with") return open_with();
    if (word == "macro") return open_macro();
    if (word == "call") return open_call();
    if (word == "generation") return open_generation();
    if (word == "break" || word == "continue") return leave_iteration(word == "break");
    if (word == "print") return print();
    for (size_t i = 0; i < std::size(kEndTags); ++i)
      if (word == kEndTags[i]) return close(static_cast<Block::Kind>(i), word);
    fail("unknown tag '" + excerpt(word, 40) + "'");
  }

  Block* open(Block::Kind kind) {
    if (blocks_.size() >= static_cast<size_t>(kMaxNesting))
      fail("statements are nested deeper than " + std::to_string(kMaxNesting));
    blocks_.emplace_back();
    blocks_.back().kind = kind;
    blocks_.back().line = now().line;
    skip_operator(":");  // allowed for Python's sake
    return &blocks_.back();
  }

  void close(Block::Kind kind, std::string_view word) {
    if (blocks_.empty() || blocks_.back().kind != kind)
      return fail(fmt::format("unexpected '{}'{}", word, expected_end()));
    Block block = std::move(blocks_.back());
    blocks_.pop_back();
    switch (kind) {
      case Block::kIf:
        if (!block.in_else) land(block.jump);
        for (const int32_t end : block.ends) land(end);
        return;
      case Block::kFor:
        if (!block.in_else) finish_loop(block);
        land(block.jump);
        return;
      case Block::kSet:
      case Block::kFilter:
        emit(Op::kPopScope);
        emit(Op::kEndCapture);
        append(block.pending);
        return;
      case Block::kWith: emit(Op::kPopScope); return;
      case Block::kMacro:
      case Block::kCall:
      case Block::kGeneration:
        if (kind != Block::kGeneration) {
          emit(Op::kReturn);
          open_macros_.pop_back();
          land(block.jump);
          if (kind == Block::kMacro) return;
          emit(Op::kCall, block.call);
          emit(Op::kPrint);
        } else {
          emit(Op::kPopScope);
        }
        return;
    }
  }

  std::string expected_end() const {
    return blocks_.empty() ? std::string() : fmt::format(", expected '{}'", kEndTags[blocks_.back().kind]);
  }

  void print() {
    while (ok() && !at(TokenKind::kTagEnd)) {
      expression();
      emit(Op::kPrint);
      if (!at(TokenKind::kTagEnd)) expect_operator(",");
    }
  }

  void open_if() {
    tuple(false);
    const int32_t jump = emit(Op::kJumpIfFalse);
    open(Block::kIf)->jump = jump;
  }

  void next_branch(bool is_else) {
    if (blocks_.empty() || blocks_.back().in_else ||
        (blocks_.back().kind != Block::kIf && !(is_else && blocks_.back().kind == Block::kFor)))
      return fail(std::string("unexpected '") + (is_else ? "else'" : "elif'") + expected_end());
    Block& block = blocks_.back();
    block.in_else = is_else;
    if (block.kind == Block::kFor) {
      finish_loop(block);
    } else {
      block.ends.push_back(emit(Op::kJump));
      land(block.jump);
      if (!is_else) {
        tuple(false);
        block.jump = emit(Op::kJumpIfFalse);
      }
    }
    skip_operator(":");
  }

  void open_for() {
    const std::vector<Instruction> targets = target(false);
    if (!skip_name("in")) return fail("expected 'in'");
    tuple(false);
    emit(Op::kLoopBegin);
    if (skip_name("if")) {
      const int32_t filter = emit(Op::kFilterNext);
      append(targets);
      expression();
      emit_back(Op::kFilterKeep, filter);
      land(filter);
    }
    if (at_name("recursive")) return fail("recursive loops are not supported");
    const int32_t start = emit(Op::kLoopNext);
    append(targets);
    open(Block::kFor)->start = start;
  }

  // Behind the body: back to the next item; and out, over `else` if there was an item.
  void finish_loop(Block& block) {
    for (const int32_t jump : block.continues) land(jump);
    emit_back(Op::kLoopAgain, block.start);
    land(block.start);
    for (const int32_t jump : block.ends) land(jump);
    block.jump = emit(Op::kLoopEnd);
  }

  void leave_iteration(bool is_break) {
    const std::string_view word = is_break ? "break" : "continue";
    std::vector<Op> unwind;
    for (size_t i = blocks_.size(); i-- > 0;) {
      Block& block = blocks_[i];
      if (block.kind == Block::kFor && !block.in_else) {
        for (const Op op : unwind) emit(op);
        if (is_break) emit(Op::kPopScope);
        (is_break ? block.ends : block.continues).push_back(emit(Op::kJump));
        return;
      }
      if (block.kind == Block::kSet || block.kind == Block::kFilter) {
        unwind.insert(unwind.end(), {Op::kPopScope, Op::kEndCapture, Op::kDrop});
      } else if (block.kind == Block::kWith) {
        unwind.push_back(Op::kPopScope);
      } else if (block.kind != Block::kIf && block.kind != Block::kFor) {
        break;
      }
    }
    fail(fmt::format("'{}' outside a loop", word));
  }

  // Code that stores the value on the stack: into a name, a namespace's attribute, or item by item into several.
  std::vector<Instruction> target(bool with_attributes) {
    const int32_t start = here();
    targets(with_attributes, false);
    return cut(start);
  }

  void targets(bool with_attributes, bool in_brackets) {
    if (++nesting_ > kMaxNesting) fail("assignment targets are nested too deep");
    const int32_t unpack = emit(Op::kUnpack);
    int32_t count = 0;
    bool comma = false;
    while (ok()) {
      if (count > 0 && (at_name("in") || at_operator("=") || at_operator(")") || at(TokenKind::kTagEnd))) break;
      single_target(with_attributes);
      ++count;
      if (!skip_operator(",")) break;
      comma = true;
    }
    if (comma) {
      program.code[static_cast<size_t>(unpack)].a = count;
    } else if (ok()) {
      program.code.erase(program.code.begin() + unpack);
    }
    if (in_brackets) expect_operator(")");
    --nesting_;
  }

  void single_target(bool with_attributes) {
    if (skip_operator("(")) return targets(with_attributes, true);
    const std::string_view word = expect_any_name();
    for (const std::string_view constant : {"true", "True", "false", "False", "none", "None"})
      if (word == constant) return fail("cannot assign to '" + std::string(word) + "'");
    if (with_attributes && skip_operator(".")) {
      emit(Op::kLoad, name(word));
      emit(Op::kStoreAttribute, name(expect_any_name()));
    } else {
      emit(Op::kStore, name(word));
    }
  }

  void set() {
    std::vector<Instruction> store = target(true);
    if (skip_operator("=")) {
      tuple();
      return append(store);
    }
    const int32_t start = here();
    filters();
    std::vector<Instruction> code = cut(start);
    code.insert(code.end(), store.begin(), store.end());
    open_capture(Block::kSet, std::move(code));
  }

  void open_filter() {
    const int32_t start = here();
    const std::string callee = dotted_name();
    emit(Op::kFilter, static_cast<int32_t>(arguments(callee)));
    filters();
    emit(Op::kPrint);
    open_capture(Block::kFilter, cut(start));
  }

  void open_capture(Block::Kind kind, std::vector<Instruction> then) {
    emit(Op::kBeginCapture);
    emit(Op::kPushScope);
    open(kind)->pending = std::move(then);
  }

  void open_with() {
    // All values are computed in the outer scope, then stored in the new one, last first.
    std::vector<std::vector<Instruction>> stores;
    while (ok() && !at(TokenKind::kTagEnd) && !at_operator(":")) {
      stores.push_back(target(false));
      expect_operator("=");
      expression();
      if (!at(TokenKind::kTagEnd)) expect_operator(",");
    }
    emit(Op::kPushScope);
    for (size_t i = stores.size(); i-- > 0;) append(stores[i]);
    open(Block::kWith);
  }

  // Hugging Face's {% generation %} marks the assistant's words for training masks; here only its scope remains.
  void open_generation() {
    emit(Op::kPushScope);
    open(Block::kGeneration);
  }

  // After the name: (parameter, parameter=default, ...). Leaves kMacro, a jump over the body, and the defaults.
  // The values of missing parameters are made inside the call, in order.
  std::vector<Instruction> signature(MacroInfo& info) {
    std::vector<Instruction> defaults;
    bool has_default = false;
    expect_operator("(");
    while (ok() && !at_operator(")")) {
      const auto parameter = static_cast<uint32_t>(name(expect_any_name()));
      info.parameters.push_back(parameter);
      const int32_t start = here();
      const int32_t given = emit(Op::kJumpIfGiven, 0, static_cast<int32_t>(parameter));
      if (skip_operator("=")) {
        has_default = true;
        expression();
      } else {
        if (has_default) fail("a parameter without a default follows one with a default");
        emit(Op::kUndefined, static_cast<int32_t>(parameter));
      }
      emit(Op::kStore, static_cast<int32_t>(parameter));
      land(given);
      const std::vector<Instruction> code = cut(start);
      defaults.insert(defaults.end(), code.begin(), code.end());
      if (!skip_operator(",")) break;
    }
    expect_operator(")");
    return defaults;
  }

  uint32_t new_macro(std::string_view macro_name) {
    program.macros.emplace_back().name = static_cast<uint32_t>(name(macro_name));
    open_macros_.push_back(static_cast<uint32_t>(program.macros.size()) - 1);
    return open_macros_.back();
  }

  void open_macro() {
    const std::string_view macro_name = expect_any_name();
    const uint32_t id = new_macro(macro_name);
    MacroInfo info = program.macros[id];
    const std::vector<Instruction> defaults = signature(info);
    emit(Op::kMacro, static_cast<int32_t>(id));
    emit(Op::kStore, static_cast<int32_t>(info.name));
    open_body(Block::kMacro, id, info, defaults);
  }

  void open_call() {
    MacroInfo info;
    const uint32_t id = new_macro("caller");
    info.name = program.macros[id].name;
    std::vector<Instruction> defaults;
    if (at_operator("(")) defaults = signature(info);
    open_macros_.pop_back();
    expression();
    open_macros_.push_back(id);
    if (!ok()) return;
    // Jinja wants the expression to be a call: its last instruction then is one.
    if (program.code.back().op != Op::kCall) return fail("'call' needs a call");
    const int32_t call = program.code.back().a;
    CallSite& site = program.calls[static_cast<size_t>(call)];
    if (site.star || site.star_star) return fail("'*' and '**' in a call block are not supported");
    site.names.emplace_back("caller");
    program.code.pop_back();
    emit(Op::kMacro, static_cast<int32_t>(id));
    open_body(Block::kCall, id, info, defaults);
    if (ok()) blocks_.back().call = call;
  }

  void open_body(Block::Kind kind, uint32_t id, const MacroInfo& info, const std::vector<Instruction>& defaults) {
    const int32_t jump = emit(Op::kJump);
    program.macros[id].parameters = info.parameters;
    program.macros[id].entry = here();
    append(defaults);
    open(kind)->jump = jump;
  }

  std::vector<Block> blocks_;
};

}  // namespace

Result<Program> compile(std::string_view source) {
  KETTE_ASSIGN(const TokenList tokens, tokenize(source));
  Compiler compiler(tokens.tokens);
  compiler.compile();
  if (!compiler.ok()) return compiler.status;
  return std::move(compiler.program);
}

}  // namespace kette::jinja
