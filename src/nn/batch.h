// The rows of one forward pass: new tokens of one or more sequences.
#pragma once

#include <cstdint>
#include <span>

#include "nn/kv_cache.h"

namespace kette::nn {

struct Sequence {
  KvCache* kv;
  size_t first_row, rows;  // its rows of the batch
  size_t first_position;   // of its first row; the cache holds everything before
};

struct Batch {
  std::span<const int32_t> tokens;  // [rows], each < vocab_size
  std::span<const Sequence> sequences;
  // Rotary angles of every row, [rows][half]: set by the model, the same for all layers.
  const float* cos = nullptr;
  const float* sin = nullptr;
};

}  // namespace kette::nn
