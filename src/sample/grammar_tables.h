// A compiled grammar: one deterministic automaton over bytes for each rule, whose states may also call rules.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace kette {

// One rule's automaton; state 0 begins.
struct Dfa {
  struct Edge {
    uint8_t first, last;  // bytes
    uint32_t target;
  };
  struct Call {
    uint32_t rule, target;  // read a text of the rule, then go on at `target`
  };
  struct State {
    std::vector<Edge> edges;  // sorted, disjoint
    std::vector<Call> calls;  // sorted by rule, one for each
    bool accepts = false;
  };
  std::vector<State> states;
};

struct GrammarTables {
  static constexpr uint32_t kUnbounded = UINT32_MAX;
  struct State {
    uint32_t first_edge, first_call;  // up to the next state's
    uint32_t rank;                    // of its rule: rules called at the beginning of others have higher ones
    uint32_t plain;                   // so many plain characters (plain_text.h), any, may be read from here
    bool accepts;
    bool leaf;  // accepts, and nothing follows
  };
  std::vector<State> states;  // and one more behind the last
  std::vector<Dfa::Edge> edges;
  std::vector<Dfa::Call> calls;
  std::vector<uint32_t> starts;    // [rules] states
  std::vector<std::string> names;  // [rules] for messages; empty: made by the compiler
  uint32_t root = 0;               // a rule
  // Bytes that all states treat alike are one class.
  std::array<uint8_t, 256> class_of{};
  std::vector<uint8_t> representatives;  // [classes] a byte of each

  size_t edges_end(uint32_t state) const { return states[state + 1].first_edge; }
  size_t calls_end(uint32_t state) const { return states[state + 1].first_call; }
};

// Puts rules together: drops what no text can use, refuses left recursion (kUnsupported, with the rules' names), and
// works out the rest. kInvalidArgument if the grammar matches no text at all.
Result<std::unique_ptr<const GrammarTables>> link_rules(std::vector<Dfa> rules, std::vector<std::string> names,
                                                        uint32_t root);

// The rules of a grammar, to be linked with others; calls are to rules of its own, which begin at `first`.
std::vector<Dfa> unlink_rules(const GrammarTables& tables, uint32_t first);

}  // namespace kette
