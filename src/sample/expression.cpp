#include "sample/expression.h"

#include <algorithm>

#include "sample/grammar_limits.h"

namespace kette {
namespace {

constexpr uint64_t kInlineSize = 8;      // parts up to this size are copied for each repetition,
constexpr uint64_t kInlineCopies = 512;  // and larger ones while all copies together take no more than this

uint64_t saturating_add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }
uint64_t saturating_mul(uint64_t a, uint64_t b) { return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b; }

}  // namespace

std::vector<CodeRange> normalized(std::vector<CodeRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](CodeRange a, CodeRange b) { return a.first < b.first; });
  std::vector<CodeRange> out;
  for (const CodeRange r : ranges) {
    if (!out.empty() && r.first <= out.back().last + 1)
      out.back().last = std::max(out.back().last, r.last);
    else
      out.push_back(r);
  }
  return out;
}

std::vector<CodeRange> complement(std::vector<CodeRange> ranges) {
  std::vector<CodeRange> out;
  uint32_t next = 0;
  for (const CodeRange r : normalized(std::move(ranges))) {
    if (r.first > next) out.push_back({next, r.first - 1});
    next = r.last + 1;
  }
  if (next <= kLastCodePoint) out.push_back({next, kLastCodePoint});
  return out;
}

Expression RuleBuilder::add(Node node) {
  if (nodes_.size() >= grammar_limits::kExpressions) {
    if (status_.ok()) status_ = error(Code::kBudget, "grammar: more than {} expressions", grammar_limits::kExpressions);
    return 0;
  }
  nodes_.push_back(node);
  return static_cast<Expression>(nodes_.size() - 1);
}

Expression RuleBuilder::add_list(Kind kind, std::vector<Expression> parts) {
  if (lists_.size() + parts.size() > 2 * grammar_limits::kExpressions) {
    if (status_.ok()) status_ = error(Code::kBudget, "grammar: more than {} expressions", grammar_limits::kExpressions);
    return 0;
  }
  Node node{.kind = kind, .a = static_cast<uint32_t>(lists_.size()), .b = static_cast<uint32_t>(parts.size())};
  for (const Expression part : parts) node.size = saturating_add(node.size, nodes_[part].size);
  lists_.insert(lists_.end(), parts.begin(), parts.end());
  return add(node);
}

Expression RuleBuilder::empty() { return add({.kind = Kind::kEmpty, .size = 1}); }
Expression RuleBuilder::nothing() { return add({.kind = Kind::kNothing}); }

Expression RuleBuilder::bytes(std::string_view text) {
  if (text.empty()) return empty();
  if (text.size() > grammar_limits::kLiteralBytes - bytes_.size()) {  // so that a place fits its 32 bits
    if (status_.ok())
      status_ = error(Code::kBudget, "grammar: literals of more than {} bytes", grammar_limits::kLiteralBytes);
    return nothing();
  }
  const auto place = static_cast<uint32_t>(bytes_.size());
  bytes_ += text;
  return add({.kind = Kind::kBytes, .a = place, .b = static_cast<uint32_t>(text.size()), .size = text.size()});
}

Expression RuleBuilder::byte_range(uint8_t first, uint8_t last) {
  return add({.kind = Kind::kRange, .a = first, .b = last, .size = 1});
}

Expression RuleBuilder::characters(std::vector<CodeRange> ranges) {
  ranges = normalized(std::move(ranges));
  uint64_t size = 0;
  for (const CodeRange r : ranges) size += r.last < 0x80 ? 1 : 8;
  Node node{.kind = Kind::kCharacters,
            .a = static_cast<uint32_t>(ranges_.size()),
            .b = static_cast<uint32_t>(ranges.size()),
            .size = size};
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
  return add(node);
}

Expression RuleBuilder::sequence(std::vector<Expression> parts) {
  if (parts.empty()) return empty();
  return parts.size() == 1 ? parts[0] : add_list(Kind::kSequence, std::move(parts));
}

Expression RuleBuilder::choice(std::vector<Expression> parts) {
  if (parts.empty()) return nothing();
  return parts.size() == 1 ? parts[0] : add_list(Kind::kChoice, std::move(parts));
}

Expression RuleBuilder::repeat(Expression part, uint32_t least, uint32_t most) {
  if (most == 0) return empty();
  if (least == 1 && most == 1) return part;
  const uint32_t bound = most == kNoLimit ? least : most;
  if (bound > grammar_limits::kRepetitions && status_.ok())
    status_ =
        error(Code::kBudget, "grammar: repeated {} times, expected at most {}", bound, grammar_limits::kRepetitions);
  const uint64_t copies = uint64_t{bound} + (most == kNoLimit ? 1 : 0);
  const uint64_t size = nodes_[part].size;
  if (new_rules_ && size > kInlineSize && saturating_mul(size, copies) > kInlineCopies && copies > 1) {
    const uint32_t rule = declare("");
    define(rule, part);
    part = call(rule);
  }
  return add({.kind = Kind::kRepeat,
              .a = least,
              .b = most,
              .part = part,
              .size = saturating_mul(nodes_.empty() ? 1 : nodes_[part].size + 2, copies)});
}

Expression RuleBuilder::call(uint32_t rule) { return add({.kind = Kind::kCall, .part = rule, .size = 1}); }

Expression RuleBuilder::automaton(std::shared_ptr<const Dfa> dfa) {
  uint64_t size = 0;
  for (const Dfa::State& s : dfa->states) size += 1 + s.edges.size();
  stored_ += dfa->states.size();
  if (stored_ > grammar_limits::kStates) {
    if (status_.ok()) status_ = error(Code::kBudget, "grammar: more than {} states", grammar_limits::kStates);
    return nothing();
  }
  automata_.push_back(std::move(dfa));
  return add({.kind = Kind::kAutomaton, .part = static_cast<uint32_t>(automata_.size() - 1), .size = size});
}

uint32_t RuleBuilder::declare(std::string name) {
  if (rules_.size() >= grammar_limits::kRules) {
    if (status_.ok()) status_ = error(Code::kBudget, "grammar: more than {} rules", grammar_limits::kRules);
    return 0;
  }
  rules_.push_back({.name = std::move(name)});
  return static_cast<uint32_t>(rules_.size() - 1);
}

void RuleBuilder::define(uint32_t rule, Expression expression) {
  rules_[rule].expression = expression;
  rules_[rule].defined = true;
}

Status RuleBuilder::check() const { return status_; }

Result<std::unique_ptr<const GrammarTables>> RuleBuilder::compile(uint32_t root) {
  KETTE_TRY(check());
  std::vector<Dfa> dfas;
  std::vector<std::string> names;
  for (const Rule& rule : rules_) {
    if (!rule.defined) return error(Code::kInternal, "grammar: rule \"{:.64}\" was not defined", rule.name);
    KETTE_ASSIGN(Dfa dfa, determinize(rule.expression));
    dfas.push_back(std::move(dfa));
    names.push_back(rule.name);
  }
  return link_rules(std::move(dfas), std::move(names), root);
}

}  // namespace kette
