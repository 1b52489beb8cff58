#include "file/printable.h"

#include <fmt/format.h>

#include <cstdint>

namespace kette {
namespace {

// Length of the UTF-8 sequence at the start of `text`, 0 if there is none. (Unicode 15, table 3-7.)
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t a = byte(0), b = byte(1);
  if (a < 0x80) return 1;
  if (a >= 0xC2 && a <= 0xDF) return tail(1) ? 2 : 0;
  if (a >= 0xE0 && a <= 0xEF) {
    const bool shortest = a != 0xE0 || b >= 0xA0, surrogate = a == 0xED && b >= 0xA0;
    return tail(1) && tail(2) && shortest && !surrogate ? 3 : 0;
  }
  if (a >= 0xF0 && a <= 0xF4) {
    const bool shortest = a != 0xF0 || b >= 0x90, in_range = a != 0xF4 || b < 0x90;
    return tail(1) && tail(2) && tail(3) && shortest && in_range ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const auto first = static_cast<uint8_t>(text[0]);
    // C1 controls are the two-byte sequences C2 80 to C2 9F.
    const bool control =
        first < 0x20 || first == 0x7F || (first == 0xC2 && text.size() > 1 && static_cast<uint8_t>(text[1]) < 0xA0);
    const std::size_t length = control ? 0 : utf8_length(text);
    const std::string piece = length == 0 ? fmt::format("\\x{:02x}", first) : std::string(text.substr(0, length));
    if (out.size() + piece.size() > max_bytes) return out + "...";
    out += piece;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string file_label(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return printable(slash == std::string_view::npos ? path : path.substr(slash + 1), 96);
}

}  // namespace kette
