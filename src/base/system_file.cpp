#include "base/system_file.h"

#include <cstdio>

namespace kette {

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  if (std::FILE* f = std::fopen(path.c_str(), "re")) {
    char text[4096];
    while (std::fgets(text, sizeof text, f) != nullptr) {
      lines.emplace_back(text);
      if (lines.back().ends_with('\n')) lines.back().pop_back();
    }
    std::fclose(f);
  }
  return lines;
}

std::string first_line(const std::string& path) {
  std::vector<std::string> lines = lines_of(path);
  return lines.empty() ? std::string() : std::move(lines[0]);
}

}  // namespace kette
