#include "runtime/drafter.h"

#include <algorithm>

namespace kette {

std::span<const Token> look_up(std::span<const Token> sequence, size_t most) {
  constexpr size_t kLeast = 2, kEnough = 6;  // tokens of the ending that must, and at most need, recur
  const size_t n = sequence.size();
  size_t best = 0, best_end = 0;
  for (size_t end = n > 0 ? n - 1 : 0; end >= kLeast && best < kEnough; --end) {
    size_t length = 0;
    while (length < kEnough && length < end && sequence[end - 1 - length] == sequence[n - 1 - length]) ++length;
    if (length >= kLeast && length > best) {
      best = length;
      best_end = end;
    }
  }
  if (best == 0) return {};
  return sequence.subspan(best_end, std::min(most, n - best_end));
}

void DraftGovernor::record(size_t drafted, size_t chosen, uint64_t microseconds) {
  if (drafted == 0) {
    plain_.add(chosen, microseconds);
    if (rest_ > 0) --rest_;
    return;
  }
  drafting_.add(chosen, microseconds);
  if (++trial_ < kTrial) return;
  if (drafting_.value() < plain_.value()) {
    rest_ = next_rest_;
    next_rest_ = std::min(next_rest_ * 2, kLongestRest);
    drafting_ = {};
    trial_ = 0;
  } else {
    next_rest_ = kFirstRest;
  }
}

}  // namespace kette
