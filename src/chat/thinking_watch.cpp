#include "chat/thinking_watch.h"

#include <algorithm>
#include <cstddef>

namespace kette {

ThinkingWatch::ThinkingWatch(const ThinkingLimits& limits)
    : limits_(limits),
      last_(limits.loops ? size_t{2} * limits.longest_period : 0),
      runs_(limits.loops ? limits.longest_period : 0) {}

ThinkingWatch::Verdict ThinkingWatch::push(int32_t token) {
  if (!runs_.empty()) {
    const size_t window = runs_.size(), at = count_ % window;
    const size_t known = static_cast<size_t>(std::min<uint64_t>(count_, window));
    const int32_t* end = last_.data() + at + window;  // behind the token before this one
    for (size_t period = 1; period <= known; ++period) {
      uint32_t& run = runs_[period - 1];
      run = end[-static_cast<ptrdiff_t>(period)] == token ? run + (run < UINT32_MAX) : 0;
    }
    last_[at] = last_[at + window] = token;
  }
  ++count_;
  if (verdict_ != Verdict::kNone || !may_close()) return verdict_;
  if (limits_.budget != 0 && count_ >= limits_.budget)
    verdict_ = Verdict::kBudget;
  else if (loops())
    verdict_ = Verdict::kLoop;
  return verdict_;
}

// The shortest period decides: the tokens of its multiples are the same ones.
bool ThinkingWatch::loops() const {
  for (size_t i = 0; i < runs_.size(); ++i) {
    const uint64_t period = i + 1, tokens = runs_[i] + period;
    if (runs_[i] == 0 || tokens < uint64_t{limits_.repeats} * period || tokens < limits_.tokens_of_many) continue;
    return long_enough(static_cast<uint32_t>(period), tokens);
  }
  return false;
}

bool ThinkingWatch::long_enough(uint32_t period, uint64_t tokens) const {
  const size_t window = runs_.size();
  const int32_t* end = last_.data() + (count_ - 1) % window + window + 1;
  std::vector<int32_t> different;
  for (const int32_t* token = end - period; token != end && different.size() <= limits_.some; ++token)
    if (std::find(different.begin(), different.end(), *token) == different.end()) different.push_back(*token);
  return tokens >= (different.size() <= limits_.few    ? limits_.tokens_of_few
                    : different.size() <= limits_.some ? limits_.tokens_of_some
                                                       : limits_.tokens_of_many);
}

}  // namespace kette
