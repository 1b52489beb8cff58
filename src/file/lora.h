// LoRA adapters (Hu et al. 2021): a file of low-rank pairs -> the same names as a model's matrices, whatever the format.
// PEFT: a directory's adapter_config.json and adapter_model.safetensors. GGUF: general.type adapter.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "file/checkpoint.h"

namespace kette {

// W + scale * B A in place of W.
struct LoraPair {
  std::string name;       // of the matrix, canonical, without ".weight": "model.layers.3.self_attn.q_proj"
  CheckpointTensor a, b;  // [rank, in], [out, rank], by the names they have in the file
  double scale = 0;

  uint64_t rank() const { return a.shape[0]; }
};

struct LoraFile {
  std::vector<LoraPair> pairs;  // sorted by name, at least one; a.shape[0] == b.shape[1]
  std::string architecture;     // of the model that it is for, as Checkpoint's; empty: the file does not say
  std::optional<Gguf> gguf;     // where the tensors' bytes are: here or in
  std::vector<std::unique_ptr<Source>> files;
};

// `open` opens files of the directory by their plain names. `weights`: empty is adapter_model.safetensors. What such
// adapters may have beside low-rank pairs is refused by its name.
Result<LoraFile> read_peft_lora(const OpenSibling& open, const std::string& weights,
                                std::span<const SafetensorsType> types);

// As llama.cpp's convert_lora_to_gguf.py lays them out; experts that are stacked come out one by one.
Result<LoraFile> read_gguf_lora(Gguf gguf);

// Pairs up the halves of a file as they come.
class LoraPairs {
 public:
  enum class Half { kA, kB };
  Status add(std::string name, Half half, CheckpointTensor tensor);
  // Those of a file that is whole; scales are left to the reader.
  Result<std::vector<LoraPair>> take() &&;

 private:
  struct Halves {
    std::optional<CheckpointTensor> a, b;
  };
  std::map<std::string, Halves> halves_;
};

}  // namespace kette
