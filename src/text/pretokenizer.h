// Text -> words, before byte-pair merging. Each stage stands for one regular expression of a tokenizer.json, scanned by
// hand in linear time: no regex engine, no backtracking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace kette {

// The pattern each stage equals is below or beside its scanner in pretokenizer.cpp.
enum class SplitStage : uint8_t {
  kGpt2,
  kQwen2,
  kLlama3,
  kDigit,
  kDigitRun,
  kThreeDigits,
  kHanKana,
  kDeepSeekV3,
  kLineBreak,
  kTrailingSpaces,
  kDeepSeekV2Word,
  kDeepSeekV2Punctuation,
  kDeepSeekV2Han,
};

// Patterns that are scanned as they are written: runs of a class of characters, maybe after one space.
inline constexpr std::string_view kHanKanaPattern = "[一-龥぀-ゟ゠-ヿ]+";
inline constexpr std::string_view kDeepSeekV2WordPattern =  // letters with a case
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆ"
    "Έ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷ"
    "ᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐ"
    "ῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄ"
    "Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
    "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
inline constexpr std::string_view kDeepSeekV2PunctuationPattern = "\\s?[!-/:-~！-／：-～‘-‟　-。]+";
inline constexpr std::string_view kDeepSeekV2HanPattern = "[一-龥ࠀ-一가-퟿]+";

struct Piece {
  size_t begin;
  size_t end;
};

// The leftmost match in text[from..]; {size, size} where there is none.
Piece find_match(SplitStage stage, std::string_view text, size_t from);

// Calls emit(word) for the words of `text` in order; together they are the whole text. Every stage cuts each piece of the
// stage before it into matches and what lies between them (Hugging Face's "Isolated").
template <class Emit>
void split_words(std::span<const SplitStage> stages, std::string_view text, Emit&& emit) {
  if (stages.empty()) {
    if (!text.empty()) emit(text);
    return;
  }
  const auto rest = stages.subspan(1);
  for (size_t at = 0; at < text.size();) {
    const Piece match = find_match(stages.front(), text, at);
    if (match.begin > at) split_words(rest, text.substr(at, match.begin - at), emit);
    if (match.end > match.begin) split_words(rest, text.substr(match.begin, match.end - match.begin), emit);
    at = match.end;
  }
}

}  // namespace kette
