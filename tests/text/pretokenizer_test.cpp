// Words of single patterns, UTF-8, NFC. (The whole tokenizers are compared in tokenizer_golden_test.cpp.)
#include "text/pretokenizer.h"

#include <doctest/doctest.h>

#include <random>

#include "text/byte_level.h"
#include "text/nfc.h"
#include "text/unicode.h"

namespace kette {
namespace {

using Words = std::vector<std::string>;

Words split(std::vector<SplitStage> stages, std::string_view text) {
  Words words;
  split_words(stages, text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST_CASE("GPT-2") {
  const auto gpt2 = [](std::string_view text) { return split({SplitStage::kGpt2}, text); };
  CHECK(gpt2("it's  IT'S 12ab, x\n\n y  ") ==
        Words{"it", "'s", " ", " IT", "'", "S", " 12", "ab", ",", " x", "\n\n", " y", "  "});
  CHECK(gpt2("\xC2\xA0\xC2\xA0z \xCC\x81") == Words{"\xC2\xA0", "\xC2\xA0", "z", " \xCC\x81"});
}

TEST_CASE("Llama 3 and Qwen 2") {
  CHECK(split({SplitStage::kLlama3}, "I'LL go'\xC5\xBFx 12345.\n\n  if(x)\t y") ==
        Words{"I", "'LL", " go", "'\xC5\xBF", "x", " ", "123", "45", ".\n\n", " ", " if", "(x", ")", "\t", " y"});
  CHECK(split({SplitStage::kQwen2}, "a 123 \n \n  b\n  ") ==
        Words{"a", " ", "1", "2", "3", " \n \n", " ", " b", "\n", "  "});
  CHECK(split({SplitStage::kQwen2}, " !?\r\n\n#x") == Words{" !?\r\n\n", "#x"});
}

TEST_CASE("DeepSeek V3") {
  const std::vector<SplitStage> stages{SplitStage::kThreeDigits, SplitStage::kHanKana, SplitStage::kDeepSeekV3};
  CHECK(split(stages, "_abc1234中文かなx, y\x01\x02z \xCC\x81") ==
        Words{"_abc", "123", "4", "中文かな", "x", ",", " y", "\x01", "\x02z", " \xCC\x81"});
  CHECK(split(stages, "$a\xC3\xA9 ++\n") == Words{"$a", "\xC3\xA9", " ++\n"});
}

TEST_CASE("DeepSeek V2") {
  const std::vector<SplitStage> stages{
      SplitStage::kLineBreak,      SplitStage::kDeepSeekV2Word, SplitStage::kDeepSeekV2Punctuation,
      SplitStage::kTrailingSpaces, SplitStage::kDeepSeekV2Han,  SplitStage::kDigit};
  CHECK(split(stages, "if (x12  ==  y)\r\n\t中文かな한 3 ʔé  ") == Words{"if", " (", "x", "1", "2", " ", " ==", " ",
                                                                         " y", ")", "\r", "\n", "\t", "中文かな한", " ",
                                                                         "3", " ʔ", "é", "  "});
  CHECK(split({SplitStage::kTrailingSpaces}, "a \n\n b  \nc \t") == Words{"a", " \n", "\n b", "  ", "\nc", " \t"});
  CHECK(split({SplitStage::kTrailingSpaces}, "a\nb") == Words{"a\nb"});
}

TEST_CASE("digits") {
  CHECK(split({SplitStage::kDigit}, "a12\xC2\xBD") == Words{"a", "1", "2", "\xC2\xBD"});
  CHECK(split({SplitStage::kDigitRun}, "a12b3") == Words{"a", "12", "b", "3"});
  CHECK(split({}, "a b") == Words{"a b"});
}

TEST_CASE("words are the text, whatever its bytes") {
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random() % 3 ? random() : "' \n1a"[random() % 5]);
    for (const auto stage :
         {SplitStage::kGpt2, SplitStage::kQwen2, SplitStage::kLlama3, SplitStage::kDigit, SplitStage::kHanKana,
          SplitStage::kDeepSeekV3, SplitStage::kLineBreak, SplitStage::kTrailingSpaces, SplitStage::kDeepSeekV2Word,
          SplitStage::kDeepSeekV2Punctuation, SplitStage::kDeepSeekV2Han}) {
      std::string joined;
      for (const std::string& word : split({SplitStage::kThreeDigits, stage}, text)) {
        CHECK_FALSE(word.empty());
        joined += word;
      }
      CHECK(joined == text);
    }
  }
}

TEST_CASE("UTF-8: only well-formed sequences are code points") {
  for (const std::string_view bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3", "\xE4\xB8", "\xF0\x9F\x98"}) {
    CHECK(decode_utf8(bad, 0).value == kInvalidByte);
    CHECK(decode_utf8(bad, 0).bytes == 1);
  }
  for (const int32_t c : {0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
    std::string text;
    if (c < 0x80)
      text = {static_cast<char>(c)};
    else if (c < 0x800)
      text = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    else if (c < 0x10000)
      text = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
              static_cast<char>(0x80 | (c & 63))};
    else
      text = {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
              static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    CHECK(decode_utf8(text, 0).value == c);
    CHECK(previous_code_point("x" + text, 1 + text.size()) == 1);
  }
  CHECK(previous_code_point("a\x80", 2) == 1);
  CHECK(classes_of(0x2FFC) == kSymbol);  // assigned by Unicode 15.1
}

TEST_CASE("NFC") {
  CHECK(to_nfc("cafe\xCC\x81 \xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8") == "caf\xC3\xA9 \xEA\xB0\x81");
  CHECK(to_nfc("\xE2\x84\xAB") == "\xC3\x85");                   // a singleton: U+212B
  CHECK(to_nfc("\xE0\xA5\x98") == "\xE0\xA4\x95\xE0\xA4\xBC");   // excluded from composition: U+0958
  CHECK(to_nfc("a\xCC\x81\xCC\xA3") == "\xE1\xBA\xA1\xCC\x81");  // reordered, then composed
  CHECK(to_nfc("e\xFF\xCC\x81\xC3") == "e\xFF\xCC\x81\xC3");     // broken bytes stay, and separate
  CHECK(to_nfc("\xEA\xB0\x80\xE1\x86\xA8") == "\xEA\xB0\x81");   // Hangul LV + T
  CHECK(to_nfc("") == "");
  CHECK_FALSE(may_change_under_nfc("caf\xC3\xA9"));
  CHECK(may_change_under_nfc("e\xCC\x81"));
}

TEST_CASE("the byte-level alphabet") {
  CHECK(bytes_of_spelling("Ġa!Ċ") == " a!\n");
  CHECK(bytes_of_spelling("\xC4\x80\xC5\x83") == std::string("\0\xAD", 2));
  CHECK(bytes_of_spelling("\xC5\x84") == std::nullopt);
  CHECK(bytes_of_spelling("a b") == std::nullopt);
  CHECK(bytes_of_spelling("｜") == std::nullopt);
}

}  // namespace
}  // namespace kette
