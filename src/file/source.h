// Where a file's bytes come from: a path (mapped or read), memory, or a host's virtual file system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace kette {

// Random access to immutable bytes. Thread-safe: read_at and map may be called concurrently.
class Source {
 public:
  virtual ~Source() = default;
  virtual const std::string& name() const = 0;  // for messages; UTF-8
  virtual uint64_t size() const = 0;
  // Fill `out` from `offset`; kIo if the bytes are not all there.
  virtual Status read_at(uint64_t offset, std::span<std::byte> out) const = 0;
  // The bytes in place, valid as long as this Source; nullptr where this source cannot map
  // (then read_at is the way).
  virtual const std::byte* map(uint64_t offset, uint64_t size) const = 0;
};

// Opens shards that lie beside a file. `name` is a plain file name (no separators, validated by the caller).
using OpenSibling = std::function<Result<std::unique_ptr<Source>>(const std::string& name)>;

enum class Access { kMap, kRead };

// A regular file. kMap maps it read-only (a file that shrinks while mapped faults its reader, so hosts with
// files that change under them use kRead).
Result<std::unique_ptr<Source>> open_path(const std::string& utf8_path, Access access);

// Borrowed memory; the caller keeps it alive and unchanged.
std::unique_ptr<Source> open_memory(std::span<const std::byte> bytes, std::string name);

}  // namespace kette
