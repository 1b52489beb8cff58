// The byte-level alphabet of GPT-2: each byte is written as one printable character ("Ġ" is the space).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kette {

// "Ġhello" -> " hello"; nullopt if a character is outside the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace kette
