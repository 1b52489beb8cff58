// Guesses of the tokens that come next. One forward pass checks several of them together, so a right guess costs less
// than a step of its own; a wrong one changes nothing, for every token is chosen from the model's own logits.
#pragma once

#include <cstdint>
#include <span>

#include "text/tokenizer.h"

namespace kette {

// Prompt lookup: what followed the latest earlier place where the sequence ran as it does now. (Saxena 2023)
// The tokens lie in `sequence`; none if its last two stand nowhere before.
std::span<const Token> look_up(std::span<const Token> sequence, size_t most);

// Whether guessing pays: compares the tokens that a microsecond brings with and without. What does not pay rests for
// a while that doubles each time, and is then tried again.
class DraftGovernor {
 public:
  bool allows() const { return rest_ == 0; }
  // It has been tried and did not pay.
  bool gave_up() const { return next_rest_ > kFirstRest; }
  // A step took this long, had `drafted` guesses in it and brought `chosen` tokens.
  void record(size_t drafted, size_t chosen, uint64_t microseconds);

 private:
  // Recent steps weigh most; 0 until there was one.
  struct Rate {
    double tokens = 0, microseconds = 0;
    void add(size_t chosen, uint64_t time) {
      tokens = tokens * 0.9 + static_cast<double>(chosen);
      microseconds = microseconds * 0.9 + static_cast<double>(time);
    }
    double value() const { return microseconds > 0 ? tokens / microseconds : 0; }
  };
  static constexpr uint32_t kFirstRest = 8, kLongestRest = 512, kTrial = 8;

  Rate plain_, drafting_;
  uint32_t trial_ = 0;  // drafting steps since the last rest
  uint32_t rest_ = 2;   // steps still without guesses: two at first show what a plain one costs
  uint32_t next_rest_ = kFirstRest;
};

}  // namespace kette
