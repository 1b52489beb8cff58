// What the readers of grammar sources share: a text that is read character by character, and says where it is.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

namespace kette {

class SourceReader {
 public:
  static constexpr uint32_t kEnd = UINT32_MAX;  // behind the last character
  static constexpr uint32_t kNotUtf8 = UINT32_MAX - 1;

  explicit SourceReader(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  void go_to(size_t at) { at_ = at; }
  bool done() const { return at_ >= text_.size(); }
  std::string_view rest() const { return text_.substr(at_); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool next_is(std::string_view s) const { return rest().starts_with(s); }
  bool take(std::string_view s) {
    if (!next_is(s)) return false;
    at_ += s.size();
    return true;
  }
  void skip(size_t n) { at_ += n; }

  // The next code point, which is gone by; kEnd or kNotUtf8 stay.
  uint32_t take_character() {
    if (done()) return kEnd;
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text_[at_ + i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return ++at_, lead;
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || at_ + length > text_.size()) return kNotUtf8;
    uint32_t code = lead & (0x7fu >> length);
    for (size_t i = 1; i < length; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return kNotUtf8;
      code = code << 6 | (byte(i) & 0x3fu);
    }
    static constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return kNotUtf8;
    at_ += length;
    return code;
  }
  // So many hexadecimal digits; kEnd, and nothing gone by, if they are not there.
  uint32_t take_hex(size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i) {
      const char c = peek(i);
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return kEnd;
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    at_ += digits;
    return value;
  }
  // A decimal number, large ones as 2^31; kEnd if there is none.
  uint32_t take_number() {
    if (peek() < '0' || peek() > '9') return kEnd;
    uint64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      value = value >= uint64_t{1} << 31 ? value : value * 10 + static_cast<uint64_t>(peek() - '0');
    return static_cast<uint32_t>(value < uint64_t{1} << 31 ? value : uint64_t{1} << 31);
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace kette
