// What a rule says, as a tree of expressions over bytes, and a rule's way from there to its automaton.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "sample/grammar_tables.h"

namespace kette {

// Code points first to last; surrogates among them stand for nothing.
struct CodeRange {
  uint32_t first, last;
};
inline constexpr uint32_t kLastCodePoint = 0x10ffff;

// Sorts and joins ranges; and those that are in none of them.
std::vector<CodeRange> normalized(std::vector<CodeRange> ranges);
std::vector<CodeRange> complement(std::vector<CodeRange> ranges);

using Expression = uint32_t;

// What automata have taken so far, to be limited together.
struct AutomatonCost {
  size_t moves = 0, subsets = 0, states = 0;
  size_t times = 1;  // so many times the limits of one grammar
  // What is left for one automaton, which takes no more than a grammar may.
  size_t left(size_t spent, size_t limit) const {
    return std::min(limit, times * limit - std::min(times * limit, spent));
  }
  // The limit that one automaton has exceeded by `own`.
  size_t limit_of(size_t own, size_t limit) const { return own > limit ? limit : times * limit; }
};

// Rules under construction. Expressions are made bottom up and may be used many times. Too many of anything is told by
// compile(), so that parsers need not ask at every step.
class RuleBuilder {
 public:
  static constexpr uint32_t kNoLimit = UINT32_MAX;

  RuleBuilder() : RuleBuilder(std::make_shared<AutomatonCost>()) {}
  // One of several that share a cost.
  explicit RuleBuilder(std::shared_ptr<AutomatonCost> cost) : cost_(std::move(cost)) {}

  Expression empty();
  Expression nothing();  // matches no text
  Expression bytes(std::string_view text);
  Expression byte_range(uint8_t first, uint8_t last);
  Expression characters(std::vector<CodeRange> ranges);  // one of them, as UTF-8
  Expression sequence(std::vector<Expression> parts);
  Expression choice(std::vector<Expression> parts);
  Expression optional(Expression part) { return choice({part, empty()}); }
  // A large part that is repeated often becomes a rule of its own, unless such rules are not wanted.
  Expression repeat(Expression part, uint32_t least, uint32_t most);
  Expression call(uint32_t rule);
  Expression automaton(std::shared_ptr<const Dfa> dfa);

  uint32_t declare(std::string name);
  void define(uint32_t rule, Expression expression);
  size_t rules() const { return rules_.size(); }

  void allow_new_rules(bool allowed) { new_rules_ = allowed; }

  // The automaton of one expression.
  Result<Dfa> determinize(Expression expression);
  Result<std::unique_ptr<const GrammarTables>> compile(uint32_t root);

 private:
  enum class Kind : uint8_t {
    kEmpty,
    kNothing,
    kBytes,
    kRange,
    kCharacters,
    kSequence,
    kChoice,
    kRepeat,
    kCall,
    kAutomaton
  };
  struct Node {
    Kind kind;
    uint32_t a = 0, b = 0;  // bytes: place and length; children: place and number; range; least and most
    uint32_t part = 0;      // repeat: the expression; call: the rule; automaton: its index
    uint64_t size = 0;      // moves it takes, about
  };
  struct Rule {
    std::string name;
    Expression expression = 0;
    bool defined = false;
  };
  struct Nfa;

  Expression add(Node node);
  Expression add_list(Kind kind, std::vector<Expression> parts);
  Status check() const;
  Status expand(Expression expression, Nfa& nfa);
  Result<Dfa> determinize(const Nfa& nfa);

  std::vector<Node> nodes_;
  std::vector<Expression> lists_;
  std::vector<CodeRange> ranges_;
  std::string bytes_;
  std::vector<std::shared_ptr<const Dfa>> automata_;
  std::vector<Rule> rules_;
  bool new_rules_ = true;
  size_t stored_ = 0;  // states of `automata_`
  std::shared_ptr<AutomatonCost> cost_;
  Status status_;  // the first limit that was exceeded
};

// Texts of both, and texts of the first that are not of the second; neither calls rules. kBudget beyond the limit on states.
Result<Dfa> intersection(const Dfa& a, const Dfa& b, AutomatonCost& cost);
Result<Dfa> difference(const Dfa& a, const Dfa& b, AutomatonCost& cost);

}  // namespace kette
