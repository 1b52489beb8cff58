#include "sample/stack_automaton.h"

#include <algorithm>
#include <bit>

#include "sample/grammar_limits.h"

namespace kette {

StackAutomaton::StackAutomaton(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), tables_(grammar_->tables()) {
  seen_round_.resize(tables_.states.size());
  seen_below_.resize(tables_.states.size());
  const Node none{.first = 0, .count = 0, .row = nullptr, .depth = 0, .plain = 0, .hash = 0, .ends = false};
  nodes_.push_back(none);
  nodes_.push_back(none);
  nodes_[kBottom].ends = true;
}

void StackAutomaton::refuel() {
  steps_left_ = grammar_limits::kSteps;
  failure_ = {};
}

size_t StackAutomaton::bytes() const {
  constexpr size_t kMapEntry = 40;
  return nodes_.size() * sizeof(Node) + frames_.size() * sizeof(Frame) +
         rows_.size() * kRowsAtOnce * tables_.representatives.size() * sizeof(uint32_t) +
         by_hash_.size() * sizeof(uint32_t) + united_.size() * kMapEntry;
}

uint32_t StackAutomaton::fail(Status status) {
  if (failure_.ok()) failure_ = std::move(status);
  return kFailed;
}

bool StackAutomaton::spend(size_t steps) {
  if (steps_left_ < steps) {
    (void)fail(
        error(Code::kBudget, "grammar: more than {} steps for one token; it is too ambiguous", grammar_limits::kSteps));
    return false;
  }
  steps_left_ -= steps;
  return true;
}

uint32_t StackAutomaton::start() {
  pending_.clear();
  add(tables_.starts[tables_.root], kBottom);
  return close();
}

uint32_t* StackAutomaton::new_row() {
  const size_t classes = tables_.representatives.size();
  if (rows_left_ == 0) {
    rows_.push_back(std::make_unique_for_overwrite<uint32_t[]>(kRowsAtOnce * classes));
    rows_left_ = kRowsAtOnce;
  }
  uint32_t* row = rows_.back().get() + --rows_left_ * classes;
  std::fill_n(row, classes, kUnknown);
  return row;
}

uint32_t StackAutomaton::find_step(uint32_t state, uint8_t byte_class) {
  if (state == kFailed) return kFailed;
  if (nodes_[state].row == nullptr) nodes_[state].row = new_row();
  const uint8_t byte = tables_.representatives[byte_class];
  pending_.clear();
  const Node node = nodes_[state];
  if (!spend(node.count)) return kFailed;
  for (uint32_t f = node.first; f < node.first + node.count; ++f) {
    const Frame frame = frames_[f];
    const auto begin = tables_.edges.begin() + tables_.states[frame.state].first_edge;
    const auto end = tables_.edges.begin() + static_cast<std::ptrdiff_t>(tables_.edges_end(frame.state));
    const auto edge = std::lower_bound(begin, end, byte, [](const Dfa::Edge& e, uint8_t b) { return e.last < b; });
    if (edge != end && edge->first <= byte) add(edge->target, frame.below);
  }
  const uint32_t next = pending_.empty() ? kDead : close();
  if (next != kFailed) nodes_[state].row[byte_class] = next;
  return next;
}

// What lies below a node has a lower number, so in order of their numbers all can be made.
uint32_t StackAutomaton::adopt(const StackAutomaton& other, uint32_t state) {
  std::vector<uint32_t> needed{state};
  std::vector<bool> found(other.nodes_.size());
  const auto frames_of = [&](uint32_t n) {
    return std::span(other.frames_).subspan(other.nodes_[n].first, other.nodes_[n].count);
  };
  for (size_t i = 0; i < needed.size(); ++i)
    for (const Frame& f : frames_of(needed[i]))
      if (!found[f.below]) found[f.below] = true, needed.push_back(f.below);
  std::sort(needed.begin(), needed.end());
  std::unordered_map<uint32_t, uint32_t> own;
  std::vector<Frame> frames;
  for (const uint32_t n : needed) {
    frames.clear();
    for (const Frame& f : frames_of(n)) frames.push_back({f.state, own[f.below]});
    own[n] = intern(frames, other.nodes_[n].ends, other.nodes_[n].plain);
    if (own[n] == kFailed) return kFailed;
  }
  return own[state];
}

void StackAutomaton::add(uint32_t state, uint32_t below) {
  pending_.push_back({tables_.states[state].rank, state, below});
  std::push_heap(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.state > b.state;
  });
}

// What the pending stacks come to without reading: calls push, ends of rules pop. Callers come before those they call, so
// that mostly all stacks below a state are known when it is looked at.
uint32_t StackAutomaton::close() {
  if (++round_ == 0) {
    std::fill(seen_round_.begin(), seen_round_.end(), 0);
    round_ = 1;
  }
  seen_.clear();
  bool ends = false;
  uint32_t plain = 0;
  while (!pending_.empty()) {
    const Pending top = pending_.front();
    std::pop_heap(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.state > b.state;
    });
    pending_.pop_back();
    if (!spend(1)) return kFailed;
    const uint32_t s = top.state;
    if (seen_round_[s] != round_) {
      seen_round_[s] = round_;
      seen_below_[s] = top.below;
      seen_.push_back(s);
    } else {
      const uint32_t both = unite(seen_below_[s], top.below, 0);
      if (both == kFailed) return kFailed;
      if (both == seen_below_[s]) continue;
      seen_below_[s] = both;
    }
    const GrammarTables::State& state = tables_.states[s];
    // What is to be added is paid for first.
    if (!spend(tables_.calls_end(s) - state.first_call + (state.accepts ? nodes_[top.below].count : 0))) return kFailed;
    plain = std::max(plain, state.plain);
    if (state.accepts) {
      const Node below = nodes_[top.below];
      ends |= below.ends;
      for (uint32_t f = below.first; f < below.first + below.count; ++f) {
        const Frame frame = frames_[f];
        add(frame.state, frame.below);
      }
    }
    for (size_t c = state.first_call; c < tables_.calls_end(s); ++c) {
      const Dfa::Call& call = tables_.calls[c];
      // Nothing is left to do after a last call: its rule ends where this one does.
      const uint32_t below = tables_.states[call.target].leaf ? top.below : push(call.target, top.below);
      if (below == kFailed) return kFailed;
      add(tables_.starts[call.rule], below);
    }
  }
  std::erase_if(seen_, [&](uint32_t s) { return tables_.states[s].first_edge == tables_.edges_end(s); });
  std::sort(seen_.begin(), seen_.end());
  std::vector<Frame> frames;
  frames.reserve(seen_.size());
  for (const uint32_t s : seen_) frames.push_back({s, seen_below_[s]});
  return intern(frames, ends, plain);
}

uint32_t StackAutomaton::push(uint32_t state, uint32_t below) {
  const Frame frame{state, below};
  return intern({&frame, 1}, false, 0);
}

// For one more node.
void StackAutomaton::make_room() {
  if (by_hash_.size() > 2 * nodes_.size()) return;
  std::vector<uint32_t> larger(std::max<size_t>(1024, 4 * std::bit_ceil(nodes_.size())));
  for (uint32_t n = kBottom + 1; n < nodes_.size(); ++n) {
    size_t place = nodes_[n].hash & (larger.size() - 1);
    while (larger[place] != 0) place = (place + 1) & (larger.size() - 1);
    larger[place] = n;
  }
  by_hash_ = std::move(larger);
}

uint32_t StackAutomaton::intern(std::span<const Frame> frames, bool ends, uint32_t plain) {
  if (frames.empty()) return ends ? kBottom : kDead;
  uint64_t mixed = ends ? 1 : 0;
  uint32_t depth = 0;
  for (const Frame& f : frames) {
    mixed = (mixed ^ (uint64_t{f.state} << 32 | f.below)) * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 31;
    depth = std::max(depth, nodes_[f.below].depth + 1);
  }
  const auto hash = static_cast<uint32_t>(mixed);
  make_room();
  size_t place = hash & (by_hash_.size() - 1);
  for (; by_hash_[place] != 0; place = (place + 1) & (by_hash_.size() - 1)) {
    Node& known = nodes_[by_hash_[place]];
    if (known.hash != hash || known.ends != ends ||
        !std::ranges::equal(frames, std::span(frames_).subspan(known.first, known.count)))
      continue;
    known.plain = std::max(known.plain, plain);
    return by_hash_[place];
  }
  if (depth > grammar_limits::kStackDepth)
    return fail(error(Code::kBudget, "grammar: rules nested more than {} deep", grammar_limits::kStackDepth));
  if (bytes() > grammar_limits::kAutomatonBytes)
    return fail(error(Code::kBudget, "grammar: its states take more than {} bytes", grammar_limits::kAutomatonBytes));
  const auto id = static_cast<uint32_t>(nodes_.size());
  const auto first = static_cast<uint32_t>(frames_.size());
  frames_.insert(frames_.end(), frames.begin(), frames.end());
  nodes_.push_back({.first = first,
                    .count = static_cast<uint32_t>(frames.size()),
                    .row = nullptr,
                    .depth = depth,
                    .plain = plain,
                    .hash = hash,
                    .ends = ends});
  by_hash_[place] = id;
  return id;
}

// The set of the stacks of both.
uint32_t StackAutomaton::unite(uint32_t a, uint32_t b, size_t nesting) {
  if (a == b || b == kDead) return a;
  if (a == kDead) return b;
  if (a > b) std::swap(a, b);
  const uint64_t key = uint64_t{a} << 32 | b;
  if (const auto known = united_.find(key); known != united_.end()) return known->second;
  if (!spend(1 + (nodes_[a].count + nodes_[b].count) / 32)) return kFailed;
  if (nesting > grammar_limits::kMergeDepth)
    return fail(error(Code::kBudget, "grammar: ambiguous {} rules deep", grammar_limits::kMergeDepth));
  const Node left = nodes_[a], right = nodes_[b];
  std::vector<Frame> frames;
  frames.reserve(left.count + right.count);
  uint32_t i = left.first, j = right.first;
  const uint32_t i_end = i + left.count, j_end = j + right.count;
  while (i < i_end || j < j_end) {
    if (j == j_end || (i < i_end && frames_[i].state < frames_[j].state)) {
      frames.push_back(frames_[i++]);
    } else if (i == i_end || frames_[j].state < frames_[i].state) {
      frames.push_back(frames_[j++]);
    } else {
      const uint32_t below = unite(frames_[i].below, frames_[j].below, nesting + 1);
      if (below == kFailed) return kFailed;
      frames.push_back({frames_[i].state, below});
      ++i, ++j;
    }
  }
  const uint32_t both = intern(frames, left.ends || right.ends, 0);
  if (both != kFailed) united_[key] = both;
  return both;
}

}  // namespace kette
