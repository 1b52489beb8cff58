#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace kette {
namespace {

// Printable Latin-1 stands for itself; the 68 other bytes are U+0100, U+0101, ... in byte order.
constexpr bool stands_for_itself(int32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<uint8_t, 68> shifted_bytes() {
  std::array<uint8_t, 68> bytes{};
  size_t next = 0;
  for (int32_t byte = 0; byte < 256; ++byte)
    if (!stands_for_itself(byte)) bytes[next++] = static_cast<uint8_t>(byte);
  return bytes;
}

constexpr std::array<uint8_t, 68> kShiftedBytes = shifted_bytes();

}  // namespace

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size();) {
    const CodePoint c = decode_utf8(spelling, i);
    if (c.value >= 0 && c.value < 256 && stands_for_itself(c.value)) {
      bytes.push_back(static_cast<char>(c.value));
    } else if (c.value >= 0x100 && c.value < 0x100 + 68) {
      bytes.push_back(static_cast<char>(kShiftedBytes[static_cast<size_t>(c.value - 0x100)]));
    } else {
      return std::nullopt;
    }
    i += c.bytes;
  }
  return bytes;
}

}  // namespace kette
