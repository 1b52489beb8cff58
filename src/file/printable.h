// Text from a file -> text fit for an error message: short, valid UTF-8, no control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kette {

// Control characters and bytes that are not UTF-8 become \xNN; what goes beyond `max_bytes` becomes "...".
std::string printable(std::string_view text, std::size_t max_bytes = 64);

// The last component of a path, printable: how messages name a file.
std::string file_label(std::string_view path);

}  // namespace kette
