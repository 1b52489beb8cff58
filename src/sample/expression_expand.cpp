// Expressions -> moves between states (Thompson's construction), without recursion however deep they are.
#include <algorithm>

#include "sample/expression_nfa.h"
#include "sample/grammar_limits.h"

namespace kette {
namespace {

struct Bytes {
  uint8_t first, last;
};

// Code points first to last, all of one length and no surrogates, as sequences of byte ranges to `emit`.
template <class Emit>
void split_utf8(uint32_t first, uint32_t last, int length, Emit emit) {
  // Below the top byte a range is cut until each of its lower bytes is either fixed or any continuation.
  for (int i = 1; i < length; ++i) {
    const uint32_t low = (1u << (6 * i)) - 1;
    if ((first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) {
      split_utf8(first, first | low, length, emit);
      split_utf8((first | low) + 1, last, length, emit);
      return;
    }
    if ((last & low) != low) {
      split_utf8(first, (last & ~low) - 1, length, emit);
      split_utf8(last & ~low, last, length, emit);
      return;
    }
  }
  static constexpr uint8_t kLead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
  Bytes out[4];
  for (int i = length - 1; i >= 0; --i, first >>= 6, last >>= 6) {
    const uint8_t mark = i == 0 ? kLead[length] : 0x80;
    const uint32_t mask = i == 0 ? 0x7f : 0x3f;
    out[i] = {static_cast<uint8_t>(mark | (first & mask)), static_cast<uint8_t>(mark | (last & mask))};
  }
  emit(std::span<const Bytes>(out, static_cast<size_t>(length)));
}

template <class Emit>
void utf8_sequences(CodeRange range, Emit emit) {
  static constexpr struct {
    uint32_t first, last;
    int length;
  } kParts[] = {{0, 0x7f, 1}, {0x80, 0x7ff, 2}, {0x800, 0xd7ff, 3}, {0xe000, 0xffff, 3}, {0x10000, kLastCodePoint, 4}};
  for (const auto& part : kParts) {
    const uint32_t first = std::max(range.first, part.first), last = std::min(range.last, part.last);
    if (first <= last) split_utf8(first, last, part.length, emit);
  }
}

}  // namespace

Status RuleBuilder::expand(Expression expression, Nfa& nfa) {
  struct Task {
    Expression expression;
    uint32_t from, to;
  };
  std::vector<Task> tasks{{expression, 0, 1}};
  size_t counted = 0;
  const size_t left = cost_->left(cost_->moves, grammar_limits::kNfaMoves);
  const auto chain = [&](const Task& t, size_t n, auto label_at) {
    uint32_t at = t.from;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t next = i + 1 == n ? t.to : nfa.add_state();
      nfa.add(at, next, label_at(i));
      at = next;
    }
  };
  while (!tasks.empty()) {
    const Task t = tasks.back();
    tasks.pop_back();
    const Node& node = nodes_[t.expression];
    switch (node.kind) {
      case Kind::kEmpty: nfa.add(t.from, t.to, Nfa::kNothing); break;
      case Kind::kNothing: break;
      case Kind::kBytes:
        chain(t, node.b, [&](size_t i) {
          const auto byte = static_cast<uint8_t>(bytes_[node.a + i]);
          return Nfa::byte_label(byte, byte);
        });
        break;
      case Kind::kRange: nfa.add(t.from, t.to, Nfa::byte_label(node.a, node.b)); break;
      case Kind::kCharacters:
        for (uint32_t r = 0; r < node.b; ++r)
          utf8_sequences(ranges_[node.a + r], [&](std::span<const Bytes> s) {
            chain(t, s.size(), [&](size_t i) { return Nfa::byte_label(s[i].first, s[i].last); });
          });
        break;
      case Kind::kSequence: {
        uint32_t at = t.from;
        for (uint32_t i = 0; i < node.b; ++i) {
          const uint32_t next = i + 1 == node.b ? t.to : nfa.add_state();
          tasks.push_back({lists_[node.a + i], at, next});
          at = next;
        }
        break;
      }
      case Kind::kChoice:
        for (uint32_t i = 0; i < node.b; ++i) tasks.push_back({lists_[node.a + i], t.from, t.to});
        break;
      case Kind::kRepeat: {
        // Through states of its own, so that what loops here loops nowhere else.
        uint32_t at = nfa.add_state();
        nfa.add(t.from, at, Nfa::kNothing);
        const uint32_t copies = node.b == kNoLimit ? node.a : node.b;
        for (uint32_t i = 0; i < copies; ++i) {
          if (i >= node.a) nfa.add(at, t.to, Nfa::kNothing);
          const uint32_t next = nfa.add_state();
          tasks.push_back({node.part, at, next});
          at = next;
          if (nfa.moves.size() + tasks.size() > left) break;
        }
        if (node.b == kNoLimit) tasks.push_back({node.part, at, at});
        nfa.add(at, t.to, Nfa::kNothing);
        break;
      }
      case Kind::kCall: nfa.add(t.from, t.to, Nfa::kCall | node.part); break;
      case Kind::kAutomaton: {
        const Dfa& dfa = *automata_[node.part];
        const uint32_t base = nfa.states;
        nfa.states += static_cast<uint32_t>(dfa.states.size());
        if (!dfa.states.empty()) nfa.add(t.from, base, Nfa::kNothing);
        for (uint32_t s = 0; s < dfa.states.size(); ++s) {
          for (const Dfa::Edge& e : dfa.states[s].edges)
            nfa.add(base + s, base + e.target, Nfa::byte_label(e.first, e.last));
          if (dfa.states[s].accepts) nfa.add(base + s, t.to, Nfa::kNothing);
        }
        break;
      }
    }
    counted = nfa.moves.size() + tasks.size() + nfa.states;
    if (counted > left)
      return error(Code::kBudget, "grammar: more than {} moves between states",
                   cost_->limit_of(counted, grammar_limits::kNfaMoves));
  }
  cost_->moves += counted;
  return {};
}

}  // namespace kette
