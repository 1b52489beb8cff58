// The states that a text may bring a grammar to, found as they are asked for. A state is a set of stacks of rule states,
// kept as a tree of shared parts; equal sets are one state, so what is known of a state is known for good.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "sample/grammar.h"
#include "sample/grammar_tables.h"

namespace kette {

// Not thread-safe. What exceeds grammar_limits.h makes a step kFailed; the states found so far stay good.
class StackAutomaton {
 public:
  static constexpr uint32_t kDead = 0;
  static constexpr uint32_t kFailed = UINT32_MAX - 1;

  explicit StackAutomaton(std::shared_ptr<const Grammar> grammar);

  // The state before the first byte, or kFailed.
  uint32_t start();
  // The state after one more byte: kDead if it is not allowed.
  uint32_t step(uint32_t state, uint8_t byte) {
    const uint8_t byte_class = tables_.class_of[byte];
    if (const uint32_t* row = nodes_[state].row; row != nullptr && row[byte_class] != kUnknown) return row[byte_class];
    return find_step(state, byte_class);
  }
  bool ends(uint32_t state) const { return nodes_[state].ends; }
  bool goes_on(uint32_t state) const { return nodes_[state].count > 0; }
  // So many plain characters (plain_text.h), any, may follow.
  uint32_t plain(uint32_t state) const { return nodes_[state].plain; }

  // The same state of another automaton of the grammar; kFailed as a step.
  uint32_t adopt(const StackAutomaton& other, uint32_t state);

  // From here on it counts anew how much work steps take.
  void refuel();
  const Status& failure() const { return failure_; }
  size_t bytes() const;
  size_t states() const { return nodes_.size(); }

 private:
  static constexpr uint32_t kUnknown = UINT32_MAX;
  static constexpr size_t kRowsAtOnce = 64;
  static constexpr uint32_t kBottom = 1;  // the set of the empty stack alone

  // The stacks that have `state` on top of a stack of the set `below`.
  struct Frame {
    uint32_t state, below;
    bool operator==(const Frame&) const = default;
  };
  // A set of stacks: one frame for each state on top, sorted; `ends` where the empty stack is among them.
  struct Node {
    uint32_t first, count;  // frames
    uint32_t* row;          // [classes] the states after each byte; nullptr: none is known
    uint32_t depth;
    uint32_t plain;
    uint32_t hash;
    bool ends;
  };
  struct Pending {
    uint32_t rank, state, below;
  };

  uint32_t* new_row();
  uint32_t find_step(uint32_t state, uint8_t byte_class);
  uint32_t close();
  void add(uint32_t state, uint32_t below);
  void make_room();
  uint32_t intern(std::span<const Frame> frames, bool ends, uint32_t plain);
  uint32_t push(uint32_t state, uint32_t below);
  uint32_t unite(uint32_t a, uint32_t b, size_t nesting);
  uint32_t fail(Status status);
  bool spend(size_t steps);

  std::shared_ptr<const Grammar> grammar_;
  const GrammarTables& tables_;
  std::vector<Node> nodes_;
  std::vector<Frame> frames_;
  std::vector<std::unique_ptr<uint32_t[]>> rows_;  // kRowsAtOnce each; they never move
  size_t rows_left_ = 0;                           // in the last
  std::vector<uint32_t> by_hash_;  // nodes, each at its hash or behind; 0: none. A power of two, at most half full
  std::unordered_map<uint64_t, uint32_t> united_;
  size_t steps_left_ = 0;
  Status failure_;

  // Of close(): what is still to be looked at, a heap; and what was, by state.
  std::vector<Pending> pending_;
  std::vector<uint32_t> seen_round_, seen_below_, seen_;
  uint32_t round_ = 0;
};

}  // namespace kette
