// Code points of a byte string and the character classes that pre-tokenizer patterns are written in.
// Bytes that are no UTF-8 are one code point each (kInvalidByte), so any bytes can be scanned.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kette {

inline constexpr int32_t kInvalidByte = -1;

// Bits; a code point has one general category and may be white space as well.
enum CharClass : uint8_t {
  kLetter = 1,       // \p{L}
  kNumber = 2,       // \p{N}
  kMark = 4,         // \p{M}
  kPunctuation = 8,  // \p{P}
  kSymbol = 16,      // \p{S}
  kWhiteSpace = 32,  // \s: Unicode White_Space
};

struct CodePoint {
  int32_t value;   // kInvalidByte where the byte starts no well-formed sequence
  uint32_t bytes;  // 1 to 4
};

// `at` must be less than text.size().
constexpr CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(text[at + i]); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {static_cast<int32_t>(first), 1};
  const size_t left = text.size() - at;
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  if (first >= 0xC2 && first < 0xE0) {
    if (left >= 2 && continues(1)) return {static_cast<int32_t>((first & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  } else if (first >= 0xE0 && first < 0xF0) {
    if (left >= 3 && continues(1) && continues(2)) {
      const uint32_t value = (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
      const bool surrogate = value >= 0xD800 && value < 0xE000;
      if (value >= 0x800 && !surrogate) return {static_cast<int32_t>(value), 3};
    }
  } else if (first >= 0xF0 && first < 0xF5) {
    if (left >= 4 && continues(1) && continues(2) && continues(3)) {
      const uint32_t value = (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
      if (value >= 0x10000 && value < 0x110000) return {static_cast<int32_t>(value), 4};
    }
  }
  return {kInvalidByte, 1};
}

// Start of the code point that ends before `end`; `end` must be greater than 0.
size_t previous_code_point(std::string_view text, size_t end);

extern const std::array<uint8_t, 128> kAsciiClasses;
uint8_t classes_beyond_ascii(int32_t code_point);

// CharClass bits. An invalid byte counts as U+FFFD, a symbol.
inline uint8_t classes_of(int32_t code_point) {
  if (code_point >= 0 && code_point < 128) return kAsciiClasses[static_cast<size_t>(code_point)];
  return classes_beyond_ascii(code_point);
}

// \w of Rust's regex crate, which decides whether a `single_word` added token stands alone.
bool is_word_character(int32_t code_point);

}  // namespace kette
