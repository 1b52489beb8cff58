#include "text/pretokenizer.h"

#include <algorithm>
#include <array>

#include "text/unicode.h"

namespace kette {
namespace {

struct Char {
  int32_t value;  // kEnd past the last one
  uint32_t bytes;
  uint8_t classes;  // none of them past the last one
};
constexpr int32_t kEnd = -2;

Char char_at(std::string_view s, size_t at) {
  if (at >= s.size()) return {kEnd, 0, 0};
  const CodePoint point = decode_utf8(s, at);
  return {point.value, point.bytes, classes_of(point.value)};
}

bool is_line_break(int32_t c) { return c == '\r' || c == '\n'; }

// End of the run of characters with any of `classes`.
size_t skip(std::string_view s, size_t at, uint8_t classes) {
  while (at < s.size()) {
    const Char c = char_at(s, at);
    if ((c.classes & classes) == 0) break;
    at += c.bytes;
  }
  return at;
}

size_t skip_without(std::string_view s, size_t at, uint8_t classes) {
  while (at < s.size()) {
    const Char c = char_at(s, at);
    if ((c.classes & classes) != 0) break;
    at += c.bytes;
  }
  return at;
}

size_t skip_line_breaks(std::string_view s, size_t at) {
  while (at < s.size() && is_line_break(s[at])) ++at;
  return at;
}

// \s+(?!\S)|\s+ at a white-space character: the run without its last character, unless that leaves nothing or the text
// ends with the run.
size_t match_spaces(std::string_view s, size_t at) {
  const size_t end = skip(s, at, kWhiteSpace);
  if (end == s.size()) return end;
  const size_t last = previous_code_point(s, end);
  return last > at ? last : end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at a white-space character: up to the run's last line break where it has one.
size_t match_lines_and_spaces(std::string_view s, size_t at) {
  const size_t end = skip(s, at, kWhiteSpace);
  for (size_t i = end; i > at; --i)
    if (is_line_break(s[i - 1])) return i;
  if (end == s.size()) return end;
  const size_t last = previous_code_point(s, end);
  return last > at ? last : end;
}

// 's|'t|'re|'ve|'m|'ll|'d at an apostrophe; `at` where it matches none.
// Ignoring case, 's also takes U+017F (long s), whose case folding is s.
size_t match_contraction(std::string_view s, size_t at, bool ignore_case) {
  const auto letter = [&](size_t i) -> char {
    if (i >= s.size()) return 0;
    const char c = s[i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(at + 1);
  const char second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return at + 3;
  if (ignore_case && s.substr(at + 1, 2) == "\xC5\xBF") return at + 3;
  return at;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+        matches at every character
size_t match_gpt2(std::string_view s, size_t at) {
  Char c = char_at(s, at);
  if (c.value == '\'') {
    if (const size_t end = match_contraction(s, at, false); end > at) return end;
  }
  size_t word = at;
  if (c.value == ' ') {
    c = char_at(s, ++word);
    if (c.value == kEnd || (c.classes & kWhiteSpace)) return match_spaces(s, at);
  }
  if (c.classes & kLetter) return skip(s, word, kLetter);
  if (c.classes & kNumber) return skip(s, word, kNumber);
  if (c.classes & kWhiteSpace) return match_spaces(s, at);
  return skip_without(s, word, kWhiteSpace | kLetter | kNumber);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
// \s+(?!\S)|\s+        matches at every character
size_t match_llama3(std::string_view s, size_t at, int digits) {
  const Char c = char_at(s, at);
  if (c.value == '\'') {
    if (const size_t end = match_contraction(s, at, true); end > at) return end;
  }
  if (c.classes & kLetter) return skip(s, at + c.bytes, kLetter);
  if (c.classes & kNumber) {
    size_t end = at + c.bytes;
    for (int i = 1; i < digits; ++i) {
      const Char next = char_at(s, end);
      if ((next.classes & kNumber) == 0) break;
      end += next.bytes;
    }
    return end;
  }
  const Char next = char_at(s, at + c.bytes);
  if (!is_line_break(c.value) && (next.classes & kLetter)) return skip(s, at + c.bytes, kLetter);
  constexpr uint8_t kNotOther = kWhiteSpace | kLetter | kNumber;
  const bool other_after_space = c.value == ' ' && next.value != kEnd && (next.classes & kNotOther) == 0;
  if (other_after_space || (c.classes & kWhiteSpace) == 0)
    return skip_line_breaks(s, skip_without(s, at + c.bytes, kNotOther));
  return match_lines_and_spaces(s, at);
}

bool is_ascii_letter(int32_t c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+        `at` where it does not match
size_t match_deepseek_v3(std::string_view s, size_t at) {
  constexpr uint8_t kWord = kLetter | kMark;
  constexpr uint8_t kOther = kPunctuation | kSymbol;
  const Char c = char_at(s, at);
  if (c.classes & kLetter) return skip(s, at, kWord);
  const Char next = char_at(s, at + c.bytes);
  if (c.classes & kOther) {
    if (c.value < 128 && is_ascii_letter(next.value) && c.value != kInvalidByte) {
      size_t end = at + 2;
      while (end < s.size() && is_ascii_letter(static_cast<unsigned char>(s[end]))) ++end;
      return end;
    }
    return skip_line_breaks(s, skip(s, at, kOther));
  }
  if (!is_line_break(c.value) && (next.classes & kWord)) return skip(s, at + c.bytes, kWord);
  if (c.classes & kMark) return at + c.bytes;
  if (c.value == ' ' && (next.classes & kOther)) return skip_line_breaks(s, skip(s, at + 1, kOther));
  if (c.classes & kWhiteSpace) return match_lines_and_spaces(s, at);
  return at;
}

// \p{N}{1,most}
Piece find_numbers(std::string_view s, size_t at, size_t most) {
  at = skip_without(s, at, kNumber);
  size_t end = at;
  for (size_t i = 0; i < most; ++i) {
    const Char c = char_at(s, end);
    if ((c.classes & kNumber) == 0) break;
    end += c.bytes;
  }
  return {at, end};
}

// [\r\n]
Piece find_line_break(std::string_view s, size_t at) {
  at = std::min(s.find_first_of("\r\n", at), s.size());
  return {at, std::min(at + 1, s.size())};
}

// \s+$, where $ is also before a line feed (Oniguruma, which Hugging Face's tokenizers use): of the first run of white
// space that reaches such a place, all up to the last one.
Piece find_trailing_spaces(std::string_view s, size_t at) {
  while (at < s.size()) {
    at = skip_without(s, at, kWhiteSpace);
    const size_t end = skip(s, at, kWhiteSpace);
    if (end == s.size()) return {at, end};
    const size_t feed = s.substr(at, end - at).rfind('\n');
    if (feed != 0 && feed != std::string_view::npos) return {at, at + feed};
    at = end;
  }
  return {s.size(), s.size()};
}

// [...]+ or \s?[...]+, the class written as single characters and ranges.
struct RunPattern {
  struct Range {
    int32_t first;
    int32_t last;
  };
  std::array<Range, 96> ranges{};
  size_t count = 0;
  bool after_space = false;

  explicit constexpr RunPattern(std::string_view pattern) : after_space(pattern.front() == '\\') {
    size_t at = pattern.find('[') + 1;
    const auto next = [&] {
      const CodePoint c = decode_utf8(pattern, at);
      at += c.bytes;
      return c.value;
    };
    while (pattern[at] != ']') {
      Range& range = ranges[count++];
      range = {next(), 0};
      if (pattern[at] == '-')
        ++at, range.last = next();
      else
        range.last = range.first;
    }
    std::sort(ranges.begin(), ranges.begin() + count, [](Range a, Range b) { return a.first < b.first; });
  }

  bool holds(int32_t c) const {
    const auto after = std::upper_bound(ranges.begin(), ranges.begin() + count, c,
                                        [](int32_t value, Range range) { return value < range.first; });
    return after != ranges.begin() && c <= (after - 1)->last;
  }
};

constexpr RunPattern kHanKana(kHanKanaPattern);
constexpr RunPattern kDeepSeekV2Word(kDeepSeekV2WordPattern);
constexpr RunPattern kDeepSeekV2Punctuation(kDeepSeekV2PunctuationPattern);
constexpr RunPattern kDeepSeekV2Han(kDeepSeekV2HanPattern);

Piece find_run(const RunPattern& pattern, std::string_view s, size_t at) {
  size_t begin = at;  // of the character at `at`, or of the space before it
  for (; at < s.size(); begin = at) {
    Char c = char_at(s, at);
    if (pattern.after_space && (c.classes & kWhiteSpace) && pattern.holds(char_at(s, at + c.bytes).value)) {
      at += c.bytes;
      c = char_at(s, at);
    }
    at += c.bytes;
    if (!pattern.holds(c.value)) continue;
    while (pattern.holds((c = char_at(s, at)).value)) at += c.bytes;
    return {begin, at};
  }
  return {s.size(), s.size()};
}

Piece find_deepseek_v3(std::string_view s, size_t at) {
  while (at < s.size()) {
    if (const size_t end = match_deepseek_v3(s, at); end > at) return {at, end};
    at += decode_utf8(s, at).bytes;
  }
  return {s.size(), s.size()};
}

}  // namespace

Piece find_match(SplitStage stage, std::string_view text, size_t from) {
  switch (stage) {
    case SplitStage::kGpt2: return {from, match_gpt2(text, from)};
    case SplitStage::kQwen2: return {from, match_llama3(text, from, 1)};
    case SplitStage::kLlama3: return {from, match_llama3(text, from, 3)};
    case SplitStage::kDigit: return find_numbers(text, from, 1);
    case SplitStage::kDigitRun: return find_numbers(text, from, text.size());
    case SplitStage::kThreeDigits: return find_numbers(text, from, 3);
    case SplitStage::kHanKana: return find_run(kHanKana, text, from);
    case SplitStage::kDeepSeekV3: return find_deepseek_v3(text, from);
    case SplitStage::kLineBreak: return find_line_break(text, from);
    case SplitStage::kTrailingSpaces: return find_trailing_spaces(text, from);
    case SplitStage::kDeepSeekV2Word: return find_run(kDeepSeekV2Word, text, from);
    case SplitStage::kDeepSeekV2Punctuation: return find_run(kDeepSeekV2Punctuation, text, from);
    case SplitStage::kDeepSeekV2Han: return find_run(kDeepSeekV2Han, text, from);
  }
  return {text.size(), text.size()};
}

}  // namespace kette
