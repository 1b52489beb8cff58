// The rows of one forward pass: new tokens of one or more sequences.
#pragma once

#include <algorithm>
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
  std::span<const int32_t> tokens;      // [rows], each < vocab_size
  std::span<const Sequence> sequences;  // in the order of their rows, without gaps
  // Rotary angles of every row, [rows][half]: set by the model, the same for all layers.
  const float* cos = nullptr;
  const float* sin = nullptr;

  // f(sequence, row) for the rows [first, last).
  template <class F>
  void each_row(size_t first, size_t last, F&& f) const {
    for (const Sequence& s : sequences)
      for (size_t i = std::max(first, s.first_row); i < std::min(last, s.first_row + s.rows); ++i) f(s, i);
  }
};

}  // namespace kette::nn
