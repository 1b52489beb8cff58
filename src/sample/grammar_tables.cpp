#include "sample/grammar_tables.h"

#include <algorithm>
#include <bitset>
#include <deque>
#include <span>

#include "sample/grammar_limits.h"
#include "sample/plain_text.h"

namespace kette {
namespace {

// Who leads to whom, as lists in one array: the sources of each target.
class Reverse {
 public:
  void add(uint32_t from, uint32_t to) { pairs_.emplace_back(to, from); }
  void build(size_t n) {
    begin_.assign(n + 2, 0);
    for (const auto& [to, from] : pairs_) ++begin_[to + 2];
    for (size_t i = 2; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
    from_.resize(pairs_.size());
    for (const auto& [to, from] : pairs_) from_[begin_[to + 1]++] = from;
    pairs_ = {};
  }
  std::span<const uint32_t> into(uint32_t to) const {
    return std::span(from_).subspan(begin_[to], begin_[to + 1] - begin_[to]);
  }

 private:
  std::vector<std::pair<uint32_t, uint32_t>> pairs_;
  std::vector<uint32_t> begin_, from_;
};

// Works on the automata of all rules, with their states numbered through.
class Linker {
 public:
  Linker(std::vector<Dfa> rules, std::vector<std::string> names, uint32_t root)
      : rules_(std::move(rules)), names_(std::move(names)), root_(root) {}

  Result<std::unique_ptr<const GrammarTables>> link() {
    number();
    find_live();
    if (!live_[offset_[root_]]) return error(Code::kInvalidArgument, "grammar: it matches no text at all");
    find_reached();
    KETTE_TRY(build());
    KETTE_TRY(rank());
    split_bytes();
    count_plain_runs();
    return std::unique_ptr<const GrammarTables>(std::move(tables_));
  }

 private:
  const Dfa::State& at(uint32_t s) const { return rules_[rule_of_[s]].states[s - offset_[rule_of_[s]]]; }

  void number() {
    for (uint32_t r = 0; r < rules_.size(); ++r) {
      if (rules_[r].states.empty()) rules_[r].states.emplace_back();
      offset_.push_back(static_cast<uint32_t>(rule_of_.size()));
      rule_of_.insert(rule_of_.end(), rules_[r].states.size(), r);
    }
  }

  // States from which the rule's end can be reached, the called rules' ends included.
  void find_live() {
    const auto n = static_cast<uint32_t>(rule_of_.size());
    Reverse by_byte, by_call, callers;  // callers: of a rule
    for (uint32_t s = 0; s < n; ++s) {
      for (const Dfa::Edge& e : at(s).edges) by_byte.add(s, offset_[rule_of_[s]] + e.target);
      for (const Dfa::Call& c : at(s).calls) by_call.add(s, offset_[rule_of_[s]] + c.target), callers.add(s, c.rule);
    }
    by_byte.build(n), by_call.build(n), callers.build(rules_.size());
    live_.assign(n, false);
    std::vector<uint32_t> found;
    const auto mark = [&](uint32_t s) {
      if (!live_[s]) live_[s] = true, found.push_back(s);
    };
    const auto mark_if_a_call_lives = [&](uint32_t s) {
      for (const Dfa::Call& c : at(s).calls)
        if (live_[offset_[c.rule]] && live_[offset_[rule_of_[s]] + c.target]) return mark(s);
    };
    for (uint32_t s = 0; s < n; ++s)
      if (at(s).accepts) mark(s);
    while (!found.empty()) {
      const uint32_t s = found.back();
      found.pop_back();
      for (const uint32_t from : by_byte.into(s)) mark(from);
      for (const uint32_t from : by_call.into(s))
        if (!live_[from]) mark_if_a_call_lives(from);
      if (s == offset_[rule_of_[s]])
        for (const uint32_t from : callers.into(rule_of_[s]))
          if (!live_[from]) mark_if_a_call_lives(from);
    }
  }

  bool lives(uint32_t s, const Dfa::Call& c) const {
    return live_[offset_[c.rule]] && live_[offset_[rule_of_[s]] + c.target];
  }

  // Live states that the root's text can come to.
  void find_reached() {
    reached_.assign(rule_of_.size(), false);
    std::vector<uint32_t> found;
    const auto mark = [&](uint32_t s) {
      if (live_[s] && !reached_[s]) reached_[s] = true, found.push_back(s);
    };
    mark(offset_[root_]);
    while (!found.empty()) {
      const uint32_t s = found.back();
      found.pop_back();
      for (const Dfa::Edge& e : at(s).edges) mark(offset_[rule_of_[s]] + e.target);
      for (const Dfa::Call& c : at(s).calls)
        if (lives(s, c)) mark(offset_[c.rule]), mark(offset_[rule_of_[s]] + c.target);
    }
  }

  Status build() {
    GrammarTables& t = *tables_;
    std::vector<uint32_t> state(rule_of_.size()), rule(rules_.size());
    uint32_t states = 0;
    for (uint32_t s = 0; s < rule_of_.size(); ++s) {
      if (!reached_[s]) continue;
      if (s == offset_[rule_of_[s]]) {
        rule[rule_of_[s]] = static_cast<uint32_t>(t.starts.size());
        t.starts.push_back(states);
        t.names.push_back(std::move(names_[rule_of_[s]]));
      }
      state[s] = states++;
      final_rule_.push_back(rule[rule_of_[s]]);
    }
    if (states > grammar_limits::kStates)
      return error(Code::kBudget, "grammar: {} states, expected at most {}", states, grammar_limits::kStates);
    t.root = rule[root_];
    for (uint32_t s = 0; s < rule_of_.size(); ++s) {
      if (!reached_[s]) continue;
      const uint32_t offset = offset_[rule_of_[s]];
      GrammarTables::State made{};
      made.first_edge = static_cast<uint32_t>(t.edges.size());
      made.first_call = static_cast<uint32_t>(t.calls.size());
      made.accepts = at(s).accepts;
      for (const Dfa::Edge& e : at(s).edges)
        if (reached_[offset + e.target]) t.edges.push_back({e.first, e.last, state[offset + e.target]});
      for (const Dfa::Call& c : at(s).calls)
        if (lives(s, c)) t.calls.push_back({rule[c.rule], state[offset + c.target]});
      made.leaf = made.accepts && t.edges.size() == made.first_edge && t.calls.size() == made.first_call;
      t.states.push_back(made);
    }
    if (t.edges.size() + t.calls.size() > grammar_limits::kEdges)
      return error(Code::kBudget, "grammar: {} edges, expected at most {}", t.edges.size() + t.calls.size(),
                   grammar_limits::kEdges);
    t.states.push_back({.first_edge = static_cast<uint32_t>(t.edges.size()),
                        .first_call = static_cast<uint32_t>(t.calls.size()),
                        .rank = 0,
                        .plain = 0,
                        .accepts = false,
                        .leaf = false});
    return {};
  }

  uint32_t states() const { return static_cast<uint32_t>(tables_->states.size() - 1); }
  std::span<const Dfa::Edge> edges(uint32_t s) const {
    return std::span(tables_->edges)
        .subspan(tables_->states[s].first_edge, tables_->edges_end(s) - tables_->states[s].first_edge);
  }
  std::span<const Dfa::Call> calls(uint32_t s) const {
    return std::span(tables_->calls)
        .subspan(tables_->states[s].first_call, tables_->calls_end(s) - tables_->states[s].first_call);
  }

  // Rules in an order in which each comes before those that its texts may begin with; there is none with left recursion.
  Status rank() {
    GrammarTables& t = *tables_;
    const auto rules = static_cast<uint32_t>(t.starts.size());
    // States that a rule comes to without reading; rules whose end is among them are empty.
    std::vector<bool> early(states()), is_empty(rules);
    Reverse waiting;  // states that call a rule
    for (uint32_t s = 0; s < states(); ++s)
      for (const Dfa::Call& c : calls(s)) waiting.add(s, c.rule);
    waiting.build(rules);
    std::vector<uint32_t> found;
    const auto mark = [&](uint32_t s) {
      if (!early[s]) early[s] = true, found.push_back(s);
    };
    for (const uint32_t start : t.starts) mark(start);
    while (!found.empty()) {
      const uint32_t s = found.back();
      found.pop_back();
      for (const Dfa::Call& c : calls(s))
        if (is_empty[c.rule]) mark(c.target);
      const uint32_t rule = final_rule_[s];
      if (!t.states[s].accepts || is_empty[rule]) continue;
      is_empty[rule] = true;
      for (const uint32_t from : waiting.into(rule))
        if (early[from])
          for (const Dfa::Call& c : calls(from))
            if (c.rule == rule) mark(c.target);
    }
    std::vector<std::vector<uint32_t>> begins(rules);  // with which rules
    std::vector<uint32_t> before(rules), ranks(rules), order;
    for (uint32_t s = 0; s < states(); ++s)
      if (early[s])
        for (const Dfa::Call& c : calls(s)) begins[final_rule_[s]].push_back(c.rule), ++before[c.rule];
    for (uint32_t r = 0; r < rules; ++r)
      if (before[r] == 0) order.push_back(r);
    for (size_t i = 0; i < order.size(); ++i) {
      ranks[order[i]] = static_cast<uint32_t>(i);
      for (const uint32_t to : begins[order[i]])
        if (--before[to] == 0) order.push_back(to);
    }
    if (order.size() < rules) return left_recursion(begins, before);
    for (uint32_t s = 0; s < states(); ++s) t.states[s].rank = ranks[final_rule_[s]];
    return {};
  }

  // Each rule that is left over is begun by another one: going back comes to a circle.
  Status left_recursion(const std::vector<std::vector<uint32_t>>& begins, const std::vector<uint32_t>& before) const {
    std::vector<uint32_t> back(begins.size(), UINT32_MAX);
    for (uint32_t r = 0; r < begins.size(); ++r)
      for (const uint32_t to : begins[r])
        if (before[r] > 0 && before[to] > 0) back[to] = r;
    uint32_t r = 0;
    while (before[r] == 0) ++r;
    std::vector<uint32_t> path;
    std::vector<bool> seen(begins.size());
    for (; !seen[r]; r = back[r]) seen[r] = true, path.push_back(r);
    path.erase(path.begin(), std::find(path.begin(), path.end(), r));
    path.push_back(r);
    std::reverse(path.begin(), path.end());
    std::string names;
    for (size_t i = 0; i < path.size(); ++i) {
      const std::string& name = tables_->names[path[i]];
      if (name.empty()) continue;
      if (names.size() > 200) {
        names += " -> ...";
        break;
      }
      names += fmt::format("{}{:.64}", names.empty() ? "" : " -> ", name);
    }
    return error(Code::kUnsupported, "grammar: left recursion, a rule that begins with itself: {}", names);
  }

  void split_bytes() {
    std::bitset<257> cuts;
    for (const Dfa::Edge& e : tables_->edges) cuts.set(e.first), cuts.set(e.last + 1u);
    cuts.set(0);
    for (size_t b = 0; b < 256; ++b) {
      if (cuts[b]) tables_->representatives.push_back(static_cast<uint8_t>(b));
      tables_->class_of[b] = static_cast<uint8_t>(tables_->representatives.size() - 1);
    }
  }

  // Adds the states that bytes first to last lead to; false unless all of them lead somewhere, or where that takes more
  // than is left of the steps: what is not known to be free is not, which costs no more than time later.
  bool follow(uint32_t s, uint32_t first, uint32_t last, std::vector<uint32_t>& to) {
    for (const Dfa::Edge& e : edges(s)) {
      if (plain_steps_left_ == 0) return false;
      --plain_steps_left_;
      if (e.last < first) continue;
      if (e.first > first) return false;
      to.push_back(e.target);
      if (e.last >= last) return true;
      first = e.last + 1u;
    }
    return false;
  }
  // The same for one plain character, whichever it is.
  bool follow_plain(uint32_t s, std::vector<uint32_t>& to) {
    struct Open {  // within a character
      uint32_t state;
      uint8_t rest;
    };
    std::vector<Open> open;
    std::vector<uint32_t> next;
    opened_.resize(states());  // [states] a bit for each `rest`
    const auto go = [&](uint32_t state, const PlainLead& byte) {
      next.clear();
      if (!follow(state, byte.first, byte.last, next)) return false;
      for (const uint32_t n : next) {
        if (byte.rest == 0) {
          to.push_back(n);
        } else if ((opened_[n] >> byte.rest & 1) == 0) {
          opened_[n] = static_cast<uint8_t>(opened_[n] | 1u << byte.rest);
          open.push_back({n, byte.rest});
        }
      }
      return true;
    };
    bool all =
        std::all_of(std::begin(kPlainLeads), std::end(kPlainLeads), [&](const auto& lead) { return go(s, lead); });
    for (size_t i = 0; i < open.size() && all; ++i) {
      const Open o = open[i];
      all = go(o.state, kPlainRest[o.rest]);
    }
    for (const Open& o : open) opened_[o.state] = 0;
    std::sort(to.begin(), to.end());
    to.erase(std::unique(to.begin(), to.end()), to.end());
    return all && to.size() <= kPlainTargets;
  }

  // How far plain characters are free from each state: the shortest way to a state where they are not.
  void count_plain_runs() {
    GrammarTables& t = *tables_;
    // Rules that any plain character is a text of, directly or by calling one that is.
    std::vector<bool> takes_one(t.starts.size());
    std::vector<uint32_t> to;
    for (uint32_t r = 0; r < t.starts.size(); ++r) {
      to.clear();
      takes_one[r] = follow_plain(t.starts[r], to) &&
                     std::all_of(to.begin(), to.end(), [&](uint32_t s) { return t.states[s].accepts; });
    }
    const auto call_of_one = [&](uint32_t s) -> const Dfa::Call* {
      for (const Dfa::Call& c : calls(s))
        if (takes_one[c.rule]) return &c;
      return nullptr;
    };
    Reverse next;
    std::deque<uint32_t> queue;
    for (uint32_t s = 0; s < states(); ++s) {
      t.states[s].plain = GrammarTables::kUnbounded;
      to.clear();
      if (follow_plain(s, to)) {
        for (const uint32_t n : to) next.add(s, n);
      } else if (const Dfa::Call* one = call_of_one(s)) {
        next.add(s, one->target);
      } else {
        t.states[s].plain = 0;
        queue.push_back(s);
      }
    }
    next.build(states());
    for (; !queue.empty(); queue.pop_front())
      for (const uint32_t from : next.into(queue.front()))
        if (t.states[from].plain == GrammarTables::kUnbounded) {
          t.states[from].plain = t.states[queue.front()].plain + 1;
          queue.push_back(from);
        }
  }

  std::vector<Dfa> rules_;
  std::vector<std::string> names_;
  uint32_t root_;
  std::vector<uint32_t> rule_of_, offset_;  // of each state; of each rule
  std::vector<bool> live_, reached_;
  std::vector<uint32_t> final_rule_;           // of each state that is kept
  static constexpr size_t kPlainTargets = 32;  // of one state; with more it is not free, so that the lists stay short
  std::vector<uint8_t> opened_;
  size_t plain_steps_left_ = size_t{1} << 25;  // edges
  std::unique_ptr<GrammarTables> tables_ = std::make_unique<GrammarTables>();
};

}  // namespace

Result<std::unique_ptr<const GrammarTables>> link_rules(std::vector<Dfa> rules, std::vector<std::string> names,
                                                        uint32_t root) {
  return Linker(std::move(rules), std::move(names), root).link();
}

std::vector<Dfa> unlink_rules(const GrammarTables& tables, uint32_t first) {
  std::vector<Dfa> rules(tables.starts.size());
  for (size_t r = 0; r < rules.size(); ++r) {
    const uint32_t begin = tables.starts[r];
    const auto end = r + 1 < rules.size() ? tables.starts[r + 1] : static_cast<uint32_t>(tables.states.size() - 1);
    for (uint32_t s = begin; s < end; ++s) {
      Dfa::State state{.edges = {}, .calls = {}, .accepts = tables.states[s].accepts};
      for (size_t i = tables.states[s].first_edge; i < tables.edges_end(s); ++i)
        state.edges.push_back({tables.edges[i].first, tables.edges[i].last, tables.edges[i].target - begin});
      for (size_t i = tables.states[s].first_call; i < tables.calls_end(s); ++i)
        state.calls.push_back({tables.calls[i].rule + first, tables.calls[i].target - begin});
      rules[r].states.push_back(std::move(state));
    }
  }
  return rules;
}

}  // namespace kette
