// Counts the tokens of a thought and says when it has to be closed. A pure function of the tokens.
#pragma once

#include <cstdint>
#include <vector>

namespace kette {

struct ThinkingLimits {
  uint32_t budget = 0;   // tokens after which a thought is closed; 0: any number. Not below `minimum`
  uint32_t minimum = 0;  // tokens before which it is not closed
  bool loops = true;     // whether loops are looked for

  // A loop: the last tokens repeat with a period of at most `longest_period`, at least `repeats` times, exactly. Prose
  // repeats nothing of that length word for word; counting and numbered lists differ in their numbers. What does
  // repeat in a sound thought is tables and grids, which have few different tokens (digits, a separator, a newline):
  // so the fewer different tokens a period has, the longer it has to go on.
  uint32_t longest_period = 512;
  uint32_t repeats = 4;
  uint32_t few = 6, some = 12;    // different tokens in a period: at most so many
  uint32_t tokens_of_few = 1024;  // a grid of 22 x 22 equal cells, two tokens each, is shorter
  uint32_t tokens_of_some = 384;
  uint32_t tokens_of_many = 128;
};

class ThinkingWatch {
 public:
  enum class Verdict : uint8_t { kNone, kBudget, kLoop };

  explicit ThinkingWatch(const ThinkingLimits& limits);

  // The next token of the thought. What is not kNone stays.
  Verdict push(int32_t token);
  Verdict verdict() const { return verdict_; }
  uint64_t count() const { return count_; }
  bool may_close() const { return count_ >= limits_.minimum; }  // the model itself, too

 private:
  bool loops() const;
  bool long_enough(uint32_t period, uint64_t tokens) const;

  ThinkingLimits limits_;
  uint64_t count_ = 0;
  Verdict verdict_ = Verdict::kNone;
  std::vector<int32_t> last_;   // [2 * longest_period]: a token is written twice, so that any window lies in one piece
  std::vector<uint32_t> runs_;  // [period - 1]: how many tokens in a row equal the one a period before
};

}  // namespace kette
