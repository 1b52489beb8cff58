// Paths of a host's file system or of a virtual one, and what kind of file one is.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "file/source.h"

namespace kette {

inline bool is_gguf(const Source& source) {
  char magic[4] = {};
  return source.size() >= 4 && source.read_at(0, std::as_writable_bytes(std::span(magic))).ok() &&
         std::string_view(magic, 4) == "GGUF";
}

// With the slash; empty for a plain name.
inline std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

inline std::string name_in_directory(const std::string& path) { return path.substr(directory_of(path).size()); }

}  // namespace kette
