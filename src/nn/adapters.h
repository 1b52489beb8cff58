// Low-rank additions to a model's matrices (LoRA, Hu et al. 2021): y = x W^T + b + scale * (x A^T) B^T.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/linear.h"

namespace kette::nn {

// An addition to one matrix. The numbers belong to the adapter.
struct LowRank {
  Linear a;        // [rank, in], plain floats: read with float32 activations in every mode
  const float* b;  // [rank, out]: B transposed
  size_t out;
  float scale;
};

// What the adapters attached in a pass add, for each of the model's named matrices in the order they were attached.
class Adapters {
 public:
  void add(uint32_t id, const LowRank& addition);
  std::span<const LowRank> of(const Linear& linear) const {
    return linear.id < by_id_.size() ? std::span<const LowRank>(by_id_[linear.id]) : std::span<const LowRank>();
  }

 private:
  std::vector<std::vector<LowRank>> by_id_;
};

// An addition to one product, half done: u [rows, rank] = scale * x A^T.
struct Addition {
  const LowRank* low_rank;
  Tensor u;
};
using Additions = std::span<const Addition>;

// The first half for every product, as one parallel stretch of work: those of linear and of gate of products[i] are at
// 2 * i and 2 * i + 1, in the arena. nullptr where nothing is added to any.
const Additions* map_inputs(Step& step, std::span<const Product> products);

// The second half for some outputs: columns [first, first + y.cols) of the rows [row, row + y.rows) -> added to y. Each
// number is summed in one order, whatever piece it is in.
void add_mapped(Additions additions, size_t row, size_t first, const Tensor& y);

}  // namespace kette::nn
