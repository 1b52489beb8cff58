// Budgets and loops of thoughts.
#include "chat/thinking_watch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>

namespace kette {
namespace {

using Verdict = ThinkingWatch::Verdict;

// After how many of the tokens a loop is seen; 0: never.
uint64_t loop_after(const std::vector<int32_t>& tokens, const ThinkingLimits& limits = {}) {
  ThinkingWatch watch(limits);
  for (const int32_t token : tokens)
    if (watch.push(token) == Verdict::kLoop) return watch.count();
  CHECK(watch.verdict() == Verdict::kNone);
  return 0;
}

// `lead` tokens that never repeat, then the phrase over and over.
std::vector<int32_t> repeating(size_t lead, const std::vector<int32_t>& phrase, size_t total) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < lead; ++i) tokens.push_back(static_cast<int32_t>(100000 + i));
  while (tokens.size() < total) tokens.push_back(phrase[(tokens.size() - lead) % phrase.size()]);
  return tokens;
}

std::vector<int32_t> phrase_of(size_t tokens, size_t different) {
  std::vector<int32_t> phrase;
  for (size_t i = 0; i < tokens; ++i)
    phrase.push_back(static_cast<int32_t>(i < different ? i : (i * 7 + i / 5) % different));
  return phrase;
}

// A character is a token.
std::vector<int32_t> spell(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

TEST_CASE("true loops are seen, as soon as they are long enough") {
  CHECK(loop_after(repeating(300, {7}, 5000)) == 300 + 1024);
  CHECK(loop_after(repeating(0, {7}, 5000)) == 1024);
  CHECK(loop_after(repeating(300, phrase_of(40, 30), 5000)) == 300 + 160);  // four times
  CHECK(loop_after(repeating(300, phrase_of(20, 15), 5000)) == 300 + 128);
  CHECK(loop_after(repeating(300, phrase_of(10, 10), 5000)) == 300 + 384);
  CHECK(loop_after(repeating(0, phrase_of(511, 200), 5000)) == 4 * 511);
  CHECK(loop_after(repeating(17, phrase_of(512, 200), 5000)) == 17 + 4 * 512);
  CHECK(loop_after(repeating(17, phrase_of(513, 200), 5000)) == 0);  // too long a period
}

TEST_CASE("what only looks like a loop is none") {
  std::string counting, numbered, table, zeros;
  for (int i = 1; i < 3000; ++i) counting += std::to_string(i) + ", ";
  for (int i = 1; i < 200; ++i)
    numbered += "\nStep " + std::to_string(i) + ": we add one to the sum and look at it again.";
  for (int i = 0; i < 60; ++i) {
    for (int j = 0; j < 12; ++j) table += std::to_string(i * j) + " ";
    table += "\n";
  }
  for (int i = 0; i < 20; ++i) zeros += "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
  CHECK(loop_after(spell(counting)) == 0);
  CHECK(loop_after(spell(numbered)) == 0);
  CHECK(loop_after(spell(table)) == 0);
  CHECK(loop_after(spell(zeros)) == 0);
  CHECK(loop_after(spell(std::string(400, '-'))) == 0);
  CHECK(loop_after(repeating(50, phrase_of(100, 60), 50 + 399)) == 0);  // one token short of four times

  // A phrase that always differs in one token.
  std::vector<int32_t> nearly;
  for (int32_t i = 0; i < 200; ++i) {
    for (int32_t j = 0; j < 40; ++j) nearly.push_back(j == 20 ? 1000 + i : j);
  }
  CHECK(loop_after(nearly) == 0);

  std::mt19937 random(1);
  std::vector<int32_t> noise;
  for (int i = 0; i < 20000; ++i) noise.push_back(static_cast<int32_t>(random() % 3));
  CHECK(loop_after(noise) == 0);
}

TEST_CASE("a loop is seen behind anything, and by plain definition") {
  // Random words over few letters with stretches that repeat, against a count that knows all tokens.
  std::mt19937 random(2);
  ThinkingLimits limits;
  limits.longest_period = 9;
  limits.repeats = 3;
  limits.few = 1, limits.some = 2;
  limits.tokens_of_few = 20, limits.tokens_of_some = 14, limits.tokens_of_many = 10;
  size_t loops = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> tokens;
    while (tokens.size() < 60) {
      std::vector<int32_t> word(1 + random() % 11);
      for (int32_t& token : word) token = static_cast<int32_t>(random() % 4);
      for (size_t n = 1 + random() % 7; n > 0; --n) tokens.insert(tokens.end(), word.begin(), word.end());
    }
    uint64_t expected = 0;
    for (size_t count = 1; count <= tokens.size() && expected == 0; ++count) {
      for (size_t period = 1; period <= limits.longest_period && period < count; ++period) {
        size_t length = period;
        while (length < count && tokens[count - 1 - length + period] == tokens[count - 1 - length]) ++length;
        if (length == period || length < limits.repeats * period || length < limits.tokens_of_many) continue;
        const std::vector<int32_t> last(tokens.begin() + static_cast<ptrdiff_t>(count - period),
                                        tokens.begin() + static_cast<ptrdiff_t>(count));
        size_t different = 0;
        for (int32_t token = 0; token < 4; ++token) different += std::count(last.begin(), last.end(), token) > 0;
        const size_t needed = different <= 1 ? 20 : different <= 2 ? 14 : 10;
        if (length >= needed) expected = count;
        break;
      }
    }
    loops += expected != 0;
    CHECK(loop_after(tokens, limits) == expected);
  }
  CHECK(loops > 30);
  CHECK(loops < 300);
}

TEST_CASE("budget and minimum") {
  ThinkingLimits limits;
  limits.budget = 10;
  limits.loops = false;
  ThinkingWatch watch(limits);
  CHECK(watch.may_close());
  for (int i = 1; i < 10; ++i) CHECK(watch.push(5) == Verdict::kNone);
  CHECK(watch.push(5) == Verdict::kBudget);
  CHECK(watch.push(5) == Verdict::kBudget);  // it stays
  CHECK(watch.count() == 11);

  limits.minimum = 20;
  ThinkingWatch later(limits);
  CHECK_FALSE(later.may_close());
  for (int i = 1; i < 20; ++i) CHECK(later.push(5) == Verdict::kNone);
  CHECK_FALSE(later.may_close());
  CHECK(later.push(5) == Verdict::kBudget);
  CHECK(later.may_close());

  limits = {};
  limits.minimum = 1500;
  CHECK(loop_after(repeating(0, {7}, 5000), limits) == 1500);
  limits.loops = false;
  CHECK(loop_after(repeating(0, {7}, 5000), limits) == 0);
  limits = {};
  limits.longest_period = 0;
  CHECK(loop_after(repeating(0, {7}, 5000), limits) == 0);
}

}  // namespace kette
