// Moves between states -> at most one move for each byte (the subset construction); and products of two automata.
#include <algorithm>
#include <bitset>
#include <unordered_map>

#include "sample/expression_nfa.h"
#include "sample/grammar_limits.h"

namespace kette {
namespace {

struct HashOfSet {
  size_t operator()(const std::vector<uint32_t>& set) const {
    uint64_t h = set.size();
    for (const uint32_t s : set) h = (h ^ s) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    return static_cast<size_t>(h);
  }
};

// Adds an edge behind the others, joined to the last if it goes on from it.
void append(std::vector<Dfa::Edge>& edges, uint8_t first, uint8_t last, uint32_t target) {
  if (!edges.empty() && edges.back().target == target && edges.back().last + 1 == first)
    edges.back().last = last;
  else
    edges.push_back({first, last, target});
}

}  // namespace

Result<Dfa> RuleBuilder::determinize(Expression expression) {
  KETTE_TRY(check());
  Nfa nfa;
  KETTE_TRY(expand(expression, nfa));
  return determinize(nfa);
}

Result<Dfa> RuleBuilder::determinize(const Nfa& nfa) {
  using Set = std::vector<uint32_t>;
  // The moves of state s: sorted[begin[s]] up to sorted[begin[s + 1]].
  std::vector<uint32_t> begin(nfa.states + 2);
  for (const Nfa::Move& m : nfa.moves) ++begin[m.from + 2];
  for (size_t s = 2; s < begin.size(); ++s) begin[s] += begin[s - 1];
  std::vector<Nfa::Move> sorted(nfa.moves.size());
  for (const Nfa::Move& m : nfa.moves) sorted[begin[m.from + 1]++] = m;

  Dfa dfa;
  std::vector<const Set*> sets;  // of each DFA state
  std::unordered_map<Set, uint32_t, HashOfSet> known;
  std::vector<uint32_t> seen(nfa.states), stack;
  uint32_t round = 0;
  Status over;
  size_t subsets = 0;
  const size_t most_subsets = cost_->left(cost_->subsets, grammar_limits::kSubsets);
  const size_t most_states = cost_->left(cost_->states, grammar_limits::kStates);
  const auto spend = [&](size_t steps) {
    subsets += steps;
    if (subsets > most_subsets && over.ok())
      over = error(Code::kBudget, "grammar: its automaton takes more than {} steps to make deterministic",
                   cost_->limit_of(subsets, grammar_limits::kSubsets));
    return over.ok();
  };
  // The DFA state for what is reached from `from` without reading. Only states with other moves, and the end, count.
  const auto state_of = [&](const Set& from) -> uint32_t {
    ++round;
    Set set;
    stack.clear();
    for (const uint32_t s : from)
      if (seen[s] != round) seen[s] = round, stack.push_back(s);
    while (!stack.empty()) {
      const uint32_t s = stack.back();
      stack.pop_back();
      bool counts = s == 1;
      for (uint32_t i = begin[s]; i < begin[s + 1]; ++i) {
        ++subsets;
        if (sorted[i].label != Nfa::kNothing)
          counts = true;
        else if (seen[sorted[i].to] != round)
          seen[sorted[i].to] = round, stack.push_back(sorted[i].to);
      }
      if (counts) set.push_back(s);
    }
    std::sort(set.begin(), set.end());
    spend(set.size() + 1);
    const auto [it, is_new] = known.try_emplace(std::move(set), static_cast<uint32_t>(dfa.states.size()));
    if (is_new) {
      if (dfa.states.size() >= most_states && over.ok())
        over = error(Code::kBudget, "grammar: more than {} states",
                     cost_->limit_of(dfa.states.size() + 1, grammar_limits::kStates));
      dfa.states.emplace_back();
      sets.push_back(&it->first);
      dfa.states.back().accepts = std::binary_search(it->first.begin(), it->first.end(), 1u);
    }
    return it->second;
  };

  (void)state_of({0});
  std::vector<Set> targets;
  std::vector<std::pair<uint32_t, uint32_t>> calls;  // rule, target
  std::vector<Nfa::Move> reads;
  for (uint32_t at = 0; at < dfa.states.size() && over.ok(); ++at) {
    std::bitset<257> cuts;
    reads.clear();
    calls.clear();
    for (const uint32_t s : *sets[at])
      for (uint32_t i = begin[s]; i < begin[s + 1]; ++i) {
        const Nfa::Move& m = sorted[i];
        if ((m.label & Nfa::kCall) != 0) {
          calls.emplace_back(m.label & ~Nfa::kCall, m.to);
        } else if (m.label != Nfa::kNothing) {
          cuts.set(m.label & 0xff);
          cuts.set((m.label >> 8 & 0xff) + 1);
          reads.push_back(m);
        }
      }
    // Between two cuts all bytes go the same way.
    std::array<uint16_t, 257> interval{};
    std::vector<uint16_t> first_of;
    for (uint16_t b = 0; b < 257; ++b) {
      if (cuts[b]) first_of.push_back(b);
      interval[b] = static_cast<uint16_t>(first_of.size());
    }
    targets.assign(first_of.size() + 1, {});
    for (const Nfa::Move& m : reads) {
      const uint16_t from = interval[m.label & 0xff], to = interval[m.label >> 8 & 0xff];
      if (!spend(to - from + size_t{1})) break;
      for (uint16_t k = from; k <= to; ++k) targets[k].push_back(m.to);
    }
    std::vector<Dfa::Edge> edges;
    for (size_t k = 1; k < targets.size() && over.ok(); ++k)
      if (!targets[k].empty())
        append(edges, static_cast<uint8_t>(first_of[k - 1]), static_cast<uint8_t>(first_of[k] - 1),
               state_of(targets[k]));
    std::sort(calls.begin(), calls.end());
    std::vector<Dfa::Call> called;
    for (size_t i = 0; i < calls.size() && over.ok();) {
      Set to;
      const uint32_t rule = calls[i].first;
      for (; i < calls.size() && calls[i].first == rule; ++i) to.push_back(calls[i].second);
      called.push_back({rule, state_of(to)});
    }
    dfa.states[at].edges = std::move(edges);
    dfa.states[at].calls = std::move(called);
  }
  cost_->subsets += subsets;
  cost_->states += dfa.states.size();
  if (!over.ok()) return over;
  return dfa;
}

namespace {

// Pairs of states that are reached together; `b` may be at no state (kNone) where only a's texts count.
Result<Dfa> product(const Dfa& a, const Dfa& b, bool both, AutomatonCost& cost) {
  const size_t most_states = cost.left(cost.states, grammar_limits::kStates);
  const size_t most_edges = cost.left(cost.subsets, grammar_limits::kSubsets);
  size_t edges_seen = 0;
  constexpr uint32_t kNone = UINT32_MAX;
  Dfa out;
  std::unordered_map<uint64_t, uint32_t> known;
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  const auto state_of = [&](uint32_t x, uint32_t y) {
    const auto [it, is_new] = known.try_emplace(uint64_t{x} << 32 | y, static_cast<uint32_t>(pairs.size()));
    if (is_new) {
      pairs.emplace_back(x, y);
      const bool in_b = y != kNone && b.states[y].accepts;
      out.states.push_back({.edges = {}, .calls = {}, .accepts = a.states[x].accepts && in_b == both});
    }
    return it->second;
  };
  if (a.states.empty()) return out;
  (void)state_of(0, b.states.empty() ? kNone : 0);
  const std::vector<Dfa::Edge> none;
  for (uint32_t at = 0; at < pairs.size(); ++at) {
    if (pairs.size() > most_states)
      return error(Code::kBudget, "grammar: more than {} states", cost.limit_of(pairs.size(), grammar_limits::kStates));
    if (edges_seen > most_edges)
      return error(Code::kBudget, "grammar: more than {} edges of automata put together",
                   cost.limit_of(edges_seen, grammar_limits::kSubsets));
    const auto [x, y] = pairs[at];
    const std::vector<Dfa::Edge>& others = y == kNone ? none : b.states[y].edges;
    edges_seen += a.states[x].edges.size() + others.size();
    std::vector<Dfa::Edge> edges;
    size_t j = 0;
    for (const Dfa::Edge& e : a.states[x].edges) {
      uint32_t byte = e.first;
      while (byte <= e.last) {
        while (j < others.size() && others[j].last < byte) ++j;
        uint32_t last = e.last, to = kNone;
        if (j < others.size() && others[j].first <= byte) {
          last = std::min<uint32_t>(last, others[j].last);
          to = others[j].target;
        } else if (j < others.size()) {
          last = std::min<uint32_t>(last, others[j].first - 1u);
        }
        if (!both || to != kNone)
          append(edges, static_cast<uint8_t>(byte), static_cast<uint8_t>(last), state_of(e.target, to));
        byte = last + 1;
      }
    }
    out.states[at].edges = std::move(edges);
  }
  cost.states += pairs.size();
  cost.subsets += edges_seen;
  return out;
}

}  // namespace

Result<Dfa> intersection(const Dfa& a, const Dfa& b, AutomatonCost& cost) { return product(a, b, true, cost); }
Result<Dfa> difference(const Dfa& a, const Dfa& b, AutomatonCost& cost) { return product(a, b, false, cost); }

}  // namespace kette
