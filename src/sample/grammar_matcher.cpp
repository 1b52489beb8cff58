#include "sample/grammar_matcher.h"

#include <algorithm>

#include "sample/grammar_limits.h"
#include "sample/stack_automaton.h"

namespace kette {

// The states met so far and the masks of some of them. One mutex for all: a call takes microseconds once its states are
// known, and a copy of the states for each matcher would have to find them anew.
struct Constraint::States {
  States(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenIndex> tokens)
      : tokens(std::move(tokens)), automaton(std::move(grammar)), path(this->tokens->longest() + 1) {}

  bool large() const { return automaton.bytes() > grammar_limits::kSharedBytes; }
  Status follow(uint32_t& state, std::string_view bytes);
  Status fill(uint32_t state, std::span<uint32_t> bits);
  bool walk(const TokenIndex::Slice& slice, std::span<uint32_t> bits);

  std::mutex mutex;
  std::shared_ptr<const TokenIndex> tokens;
  StackAutomaton automaton;
  uint32_t start = StackAutomaton::kDead;
  std::unordered_map<uint32_t, size_t> place_of_mask;  // by state, in masks
  std::vector<uint32_t> masks;
  std::vector<uint32_t> path;  // of walk: the state after each byte
};

Constraint::Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenIndex> tokens)
    : grammar_(std::move(grammar)), tokens_(std::move(tokens)) {}

Result<std::shared_ptr<const Constraint>> Constraint::make(std::shared_ptr<const Grammar> grammar,
                                                           std::shared_ptr<const TokenIndex> tokens) {
  std::shared_ptr<Constraint> made(new Constraint(std::move(grammar), std::move(tokens)));
  const std::shared_ptr<States> states = made->states();
  if (states->start == StackAutomaton::kFailed) return states->automaton.failure();
  return std::shared_ptr<const Constraint>(std::move(made));
}

std::shared_ptr<Constraint::States> Constraint::states() const {
  const std::lock_guard lock(mutex_);
  const auto is_large = [&] {
    const std::lock_guard states_lock(states_->mutex);
    return states_->large();
  };
  if (states_ == nullptr || is_large()) {
    auto fresh = std::make_shared<States>(grammar_, tokens_);
    fresh->automaton.refuel();
    fresh->start = fresh->automaton.start();
    states_ = std::move(fresh);
  }
  return states_;
}

Status Constraint::States::follow(uint32_t& state, std::string_view bytes) {
  uint32_t at = state;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i % 256 == 0) automaton.refuel();  // long texts count as several tokens
    at = automaton.step(at, static_cast<uint8_t>(bytes[i]));
    if (at == StackAutomaton::kFailed) return automaton.failure();
    if (at == StackAutomaton::kDead)
      return error(Code::kGrammarDeadEnd, "grammar: byte {} of {}, {:#04x}, is not allowed here", i + 1, bytes.size(),
                   static_cast<uint8_t>(bytes[i]));
  }
  state = at;
  return {};
}

// Sets the bits of the slice's tokens that may follow path[0]. False if a limit was exceeded.
bool Constraint::States::walk(const TokenIndex::Slice& slice, std::span<uint32_t> bits) {
  const TokenIndex::Node* nodes = slice.nodes.data();
  const size_t n = slice.nodes.size() - 1;
  for (size_t i = 0; i < n;) {
    const TokenIndex::Node& node = nodes[i];
    const uint32_t next = automaton.step(path[node.depth - 1u], node.byte);
    if (next == StackAutomaton::kDead) {
      i += 1 + node.skip;
      continue;
    }
    if (next == StackAutomaton::kFailed) return false;
    path[node.depth] = next;
    for (uint32_t t = node.first; t < nodes[i + 1].first; ++t) {
      const auto token = static_cast<uint32_t>(slice.tokens[t]);
      bits[token / 32] |= 1u << token % 32;
    }
    ++i;
  }
  return true;
}

Status Constraint::States::fill(uint32_t state, std::span<uint32_t> bits) {
  const size_t words = tokens->mask_words();
  if (bits.size() < words)
    return error(Code::kInvalidArgument, "grammar: a mask of {} words, expected at least {}", bits.size(), words);
  std::fill(bits.begin() + static_cast<std::ptrdiff_t>(words), bits.end(), 0);
  bits = bits.first(words);
  if (const auto known = place_of_mask.find(state); known != place_of_mask.end()) {
    std::copy_n(masks.begin() + static_cast<std::ptrdiff_t>(known->second), words, bits.begin());
    return {};
  }
  std::fill(bits.begin(), bits.end(), 0);
  automaton.refuel();
  path[0] = state;
  const uint32_t plain = automaton.plain(state);
  for (const TokenIndex::Slice& slice : tokens->slices()) {
    if (slice.characters > 0 && plain >= slice.characters) {
      for (size_t w = 0; w < words; ++w) bits[w] |= slice.mask[w];
    } else if (!walk(slice, bits)) {
      return automaton.failure();
    }
  }
  if (automaton.ends(state))
    for (const int32_t end : tokens->ends()) bits[static_cast<size_t>(end) / 32] |= 1u << (end % 32);
  if (std::all_of(bits.begin(), bits.end(), [](uint32_t w) { return w == 0; }))
    return error(Code::kGrammarDeadEnd, "grammar: no token of the vocabulary may follow{}",
                 automaton.ends(state) ? "; the text is whole, and the vocabulary has no end-of-turn token" : "");
  if ((masks.size() + words) * sizeof(uint32_t) > grammar_limits::kMaskBytes) {
    masks.clear();
    place_of_mask.clear();
  }
  masks.insert(masks.end(), bits.begin(), bits.end());
  place_of_mask[state] = masks.size() - words;
  return {};
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Constraint> constraint)
    : constraint_(std::move(constraint)), states_(constraint_->states()), state_(states_->start) {}

void GrammarMatcher::leave_large_states() {
  const std::shared_ptr<Constraint::States> old = states_;
  {
    const std::lock_guard lock(old->mutex);
    if (!old->large()) return;
  }
  std::shared_ptr<Constraint::States> fresh = constraint_->states();
  if (fresh == old) return;
  const std::scoped_lock lock(old->mutex, fresh->mutex);
  const uint32_t state = fresh->automaton.adopt(old->automaton, state_);
  if (state == StackAutomaton::kFailed) return;
  states_ = std::move(fresh);
  state_ = state;
}

Status GrammarMatcher::accept(std::string_view bytes) {
  leave_large_states();
  const std::lock_guard lock(states_->mutex);
  return states_->follow(state_, bytes);
}

Status GrammarMatcher::accept_token(int32_t token) {
  leave_large_states();
  const std::lock_guard lock(states_->mutex);
  const TokenIndex& tokens = *states_->tokens;
  if (tokens.is_end(token)) {
    if (states_->automaton.ends(state_)) return {};
    return error(Code::kGrammarDeadEnd, "grammar: the text is not whole, so token {} may not end it", token);
  }
  const std::string_view bytes = tokens.bytes_of(token);
  if (bytes.empty()) return error(Code::kGrammarDeadEnd, "grammar: token {} stands for no text", token);
  return states_->follow(state_, bytes);
}

bool GrammarMatcher::can_end() const {
  const std::lock_guard lock(states_->mutex);
  return states_->automaton.ends(state_);
}

bool GrammarMatcher::dead() const {
  const std::lock_guard lock(states_->mutex);
  return !states_->automaton.goes_on(state_);
}

Status GrammarMatcher::fill_mask(std::span<uint32_t> bits) {
  leave_large_states();
  const std::lock_guard lock(states_->mutex);
  return states_->fill(state_, bits);
}

}  // namespace kette
