// JSON from strangers, before it is parsed: how deep it nests (parsers and writers recurse), and how many keys its largest
// object has (each is looked for among those before it). Other mistakes are the parser's to find.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"

namespace kette {

struct JsonLimits {
  size_t depth = 128;
  size_t keys = 4096;  // of one object
  Code code = Code::kInvalidArgument;
};

// `what` begins the message.
inline Status check_json_shape(std::string_view json, std::string_view what, const JsonLimits& limits = {}) {
  std::vector<size_t> keys(limits.depth + 1);  // so far, of the object or array at each depth
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (quoted && json[i] == '\\') {
      ++i;
    } else if (json[i] == '"') {
      quoted = !quoted;
    } else if (quoted) {
      continue;
    } else if (json[i] == '[' || json[i] == '{') {
      if (depth == limits.depth)
        return error(limits.code, "{}: JSON, at byte {}: nested more than {} deep", what, i, limits.depth);
      keys[++depth] = 0;
    } else if ((json[i] == ']' || json[i] == '}') && depth > 0) {
      --depth;
    } else if (json[i] == ':' && ++keys[depth] > limits.keys) {
      return error(limits.code, "{}: JSON, at byte {}: an object of more than {} keys", what, i, limits.keys);
    }
  }
  return {};
}

}  // namespace kette
