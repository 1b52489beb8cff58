// A LoRA adapter of one model, opened. Immutable; sessions of that model attach and detach it.
#pragma once

#include <memory>
#include <string>

#include "models/bind_lora.h"
#include "runtime/loaded_model.h"

namespace kette {

class Adapter {
 public:
  // `path` through `open`: a PEFT directory, its adapter_model.safetensors (adapter_config.json lies beside it), or a
  // GGUF adapter. Nothing of the files is needed once it is open.
  static Result<std::shared_ptr<const Adapter>> open(std::shared_ptr<const LoadedModel> loaded, const OpenFile& open,
                                                     const std::string& path, const CancelFlag* cancel);

  const LoadedModel& loaded() const { return *loaded_; }
  // The same for the same numbers on the same matrices.
  const std::string& key() const { return lora_.key; }
  uint64_t bytes() const { return lora_.bytes; }
  void attach(float scale, nn::Adapters& to) const;

 private:
  Adapter(std::shared_ptr<const LoadedModel> loaded, BoundLora lora)
      : loaded_(std::move(loaded)), lora_(std::move(lora)) {}

  std::shared_ptr<const LoadedModel> loaded_;
  BoundLora lora_;
};

// The adapters attached to one session, in the order they were attached.
class AttachedAdapters {
 public:
  // Add it, change its scale, or with scale 0 take it away. True if that changed anything.
  bool set(std::shared_ptr<const Adapter> adapter, float scale);
  bool clear();
  // For a pass; nullptr: none.
  const nn::Adapters* in_pass() const { return all_.empty() ? nullptr : &in_pass_; }
  // Tells apart what makes different numbers of the same tokens; empty: none.
  std::string key() const;

 private:
  struct Attached {
    std::shared_ptr<const Adapter> adapter;
    float scale;
  };
  void apply(std::vector<Attached> all);

  std::vector<Attached> all_;
  nn::Adapters in_pass_;
};

}  // namespace kette
