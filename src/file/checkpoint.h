// Any model file -> one set of names: Hugging Face tensor names, config.json keys, and the bytes behind them.
// A model binds the same names whatever file format they came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "file/config.h"
#include "file/gguf.h"
#include "file/safetensors.h"
#include "file/source.h"

namespace kette {

struct CheckpointTensor {
  std::string name;  // canonical: "model.layers.3.self_attn.q_proj.weight"
  const StoredType* type;
  std::vector<uint64_t> shape;  // outermost first: [out, in]
  uint64_t bytes;
  const Source* source;
  uint64_t offset;
  // How the rows of a stored q/k projection are ordered. GGUF's llama architecture stores each head's rotary
  // pairs interleaved (x0,x1),(x2,x3)...; Hugging Face stores them half-split. The binder passes it to the rope.
  bool rows_interleaved_rope = false;
};

class Checkpoint {
 public:
  // Translate an opened GGUF. Refuses an architecture it has no names for, by name.
  static Result<Checkpoint> from_gguf(Gguf gguf);
  // A directory as Hugging Face publishes models, see hf_directory.h. `name` is for messages.
  static Result<Checkpoint> from_hf(const OpenSibling& open, const std::string& weights, std::string name,
                                    std::span<const SafetensorsType> types);

  // "LlamaForCausalLM": the first of config.json's `architectures`.
  const std::string& architecture() const;
  const Config& config() const;
  // The settings of generation_config.json; empty for a GGUF.
  const Config& generation() const;
  const CheckpointTensor* find(std::string_view name) const;
  std::span<const CheckpointTensor> tensors() const;
  // The vocabulary's home: GGUF metadata, or nullptr for a checkpoint with a tokenizer.json.
  const Gguf* gguf() const;
  // The chat template of a GGUF; empty if it has none. (A directory's is among its texts.)
  const std::string& chat_template() const;
  const std::string& name() const;  // of the file, for messages
  uint64_t file_bytes() const;      // all files together

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kette
