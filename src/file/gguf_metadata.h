// The key-value part of a GGUF file: bytes -> a checked copy on the heap, looked up by key.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "file/cursor.h"
#include "file/gguf.h"
#include "file/name_index.h"

namespace kette {

// The next string as a key or tensor name: 1 to max_bytes bytes of printable ASCII, appended to `out`.
Status read_gguf_name(Cursor& cursor, uint32_t max_bytes, std::string& out);

class GgufMetadata {
 public:
  // Reads `count` pairs at the cursor.
  static Result<GgufMetadata> read(Cursor& cursor, uint64_t count, const GgufLimits& limits);

  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> real(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<double>> reals(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::vector<std::string_view> keys() const;

 private:
  struct Entry {
    uint64_t key;    // offset in bytes_
    uint64_t value;  // offset in bytes_
    uint64_t count;  // of an array's elements, else 1
    uint32_t key_size;
    GgufType type;  // of the value, or of an array's elements
    bool is_array;
  };

  Status read_entry(Cursor& cursor, const GgufLimits& limits);
  Status read_value(Cursor& cursor, const GgufLimits& limits, Entry& e);
  Status read_elements(Cursor& cursor, GgufType type, uint64_t count);

  const Entry* find(std::string_view key) const;
  const Entry* find(std::string_view key, bool is_array) const;
  std::string_view key_of(const Entry& e) const { return std::string_view(bytes_).substr(e.key, e.key_size); }
  auto key_at() const {
    return [this](uint32_t i) { return key_of(entries_[i]); };
  }
  std::string_view string_at(uint64_t& at) const;  // moves `at` behind it

  std::string bytes_;           // keys and values as in the file; a string array costs 8 bytes a string
  std::vector<Entry> entries_;  // in file order
  NameIndex by_key_;
};

}  // namespace kette
