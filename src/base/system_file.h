// Small text files in which the system tells about itself.
#pragma once

#include <string>
#include <vector>

namespace kette {

// Without their line breaks; none if the file cannot be read.
std::vector<std::string> lines_of(const std::string& path);
// Empty if there is none.
std::string first_line(const std::string& path);

}  // namespace kette
