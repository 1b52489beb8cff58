// The automaton of one rule before it is made deterministic.
#pragma once

#include <cstdint>
#include <vector>

#include "sample/expression.h"

namespace kette {

// State 0 begins, state 1 ends.
struct RuleBuilder::Nfa {
  // What a move reads: nothing, a byte of a range, or a text of a rule.
  static constexpr uint32_t kNothing = 0, kByte = 1u << 30, kCall = 1u << 31;
  struct Move {
    uint32_t from, to, label;
  };
  static uint32_t byte_label(uint32_t first, uint32_t last) { return kByte | first | last << 8; }

  uint32_t add_state() { return states++; }
  void add(uint32_t from, uint32_t to, uint32_t label) { moves.push_back({from, to, label}); }

  std::vector<Move> moves;
  uint32_t states = 2;
};

}  // namespace kette
