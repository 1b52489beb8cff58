// Unicode Normalization Form C of a byte string.
#pragma once

#include <string>
#include <string_view>

namespace kette {

// False where the text is certainly its own NFC (no code point from U+0300 on).
bool may_change_under_nfc(std::string_view text);

// Linear but for sorting each run of combining marks (n log n). Bytes that are no UTF-8 pass through unchanged.
std::string to_nfc(std::string_view text);

}  // namespace kette
