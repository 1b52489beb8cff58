// A directory as Hugging Face publishes models: settings, weights, and the texts that tokenizer and template read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "file/checkpoint.h"

namespace kette {

struct HfWeights {
  std::string architecture;
  Config config;                          // config.json
  Config generation;                      // generation_config.json; empty if there is none
  std::vector<CheckpointTensor> tensors;  // sorted by name
  std::vector<std::unique_ptr<Source>> files;
};

// `open` opens files of the directory by their plain names, and fails with kNotFound for one that is not there.
// `weights`: a .safetensors file or an index of several; empty: model.safetensors, else model.safetensors.index.json.
Result<HfWeights> read_hf_weights(const OpenSibling& open, const std::string& weights,
                                  std::span<const SafetensorsType> types);

// Bytes of a tokenizer.json or of an index at most; of a file of settings.
inline constexpr uint64_t kMaxText = 256 << 20;
inline constexpr uint64_t kMaxSettings = 16 << 20;

// The whole file, of at most so many bytes; `missing` is what a file that is not there counts as.
Result<std::string> read_text(const OpenSibling& open, const std::string& name, uint64_t most,
                              const char* missing = nullptr);

struct HfText {
  std::string tokenizer;         // tokenizer.json; empty if there is none
  std::string tokenizer_config;  // tokenizer_config.json, likewise
  std::string chat_template;     // chat_template.jinja, else what tokenizer_config.json has as the default
};
Result<HfText> read_hf_text(const OpenSibling& open);

}  // namespace kette
