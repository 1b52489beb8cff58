// model.safetensors.index.json -> which of the files beside it holds each tensor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kette {

struct SafetensorsIndex {
  static constexpr size_t kMaxShards = 1024;

  struct Row {
    std::string tensor;
    size_t shard;  // of shards
  };
  std::vector<std::string> shards;  // plain file names, sorted
  std::vector<Row> rows;            // sorted by tensor
};

// Duplicate tensors, and file names that could lead out of the directory, are refused.
Result<SafetensorsIndex> read_safetensors_index(std::string_view json);

}  // namespace kette
