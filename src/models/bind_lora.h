// A LoRA file bound to a model: its numbers as floats, in the order of the model's own rows, checked against its shapes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "file/lora.h"
#include "models/model.h"
#include "nn/adapters.h"

namespace kette {

struct BoundLora {
  struct Part {
    uint32_t matrix;  // place in Model::matrices()
    AlignedBuffer<float> numbers;
    nn::LowRank low_rank;  // of scale alpha / rank
  };
  std::vector<Part> parts;
  std::string key;  // a hash: the same for the same numbers, whatever file they came in
  uint64_t bytes = 0;
};

// `check` is called before each pair; a Status that is not ok ends the binding. kUnsupported names what the model does
// not multiply as a matrix of its own: a tied head, an embedding, DeepSeek's kv_b_proj.
Result<BoundLora> bind_lora(const LoraFile& file, const Model& model, const kernels::Kernels& kernels,
                            Allocator* allocator, const std::function<Status()>& check);

}  // namespace kette
