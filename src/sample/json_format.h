// The values of "format" that Kette knows, as regular expressions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kette {

// nullopt: not known.
std::optional<std::string> regex_of_format(std::string_view name);

}  // namespace kette
