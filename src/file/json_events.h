// JSON text -> its events in order, for readers of files from strangers: iterative, limited in depth, no exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"

namespace kette {

using JsonScalar = std::variant<std::nullptr_t, bool, int64_t, double, std::string>;  // wide integers come as double

class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual Status begin(bool object) = 0;  // an object or a list opens
  virtual Status end() = 0;
  virtual Status key(std::string name) = 0;  // of the innermost object
  virtual Status value(JsonScalar value) = 0;
};

inline constexpr size_t kJsonDepth = 64;

// Every event of `text`, whose outermost value is an object. The first Status that is not ok ends the reading.
Status read_json(std::string_view text, JsonEvents& events);

}  // namespace kette
