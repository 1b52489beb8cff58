/// A LoRA adapter of a model, opened. Immutable; sessions of that model attach and detach it.
#pragma once

#include <string>

#include "kette/model.hpp"

KETTE_BEGIN_NAMESPACE

/// A counted reference to an adapter: copies share it. Keeps its model alive. Safe to use from several threads at once.
class adapter {
 public:
  /// Open a PEFT directory (adapter_config.json, adapter_model.safetensors), that weight file, or a GGUF adapter. Of the
  /// options vfs, cancel and the flag KETTE_MODEL_READ count. Fails with unsupported or corrupt, naming the tensor, where
  /// it does not fit the model.
  static result<adapter> open(const model& m, const std::string& path, const load_options& options = {}) {
    auto params = detail::sized<kette_model_params>();
    params.flags = options.flags;
    params.vfs = options.vfs;
    params.cancel = options.cancel != nullptr ? options.cancel->raw() : nullptr;
    return detail::make<adapter, kette_adapter>([&](kette_adapter** out, kette_error** e) {
      return kette_adapter_open(m.raw(), path.c_str(), &params, out, e);
    });
  }
  /// Adopts a reference; pairs with release().
  explicit adapter(kette_adapter* adopted) noexcept : handle_(adopted) {}

  kette_adapter* raw() const noexcept { return handle_.get(); }
  kette_adapter* release() noexcept { return handle_.release(); }

 private:
  detail::shared<kette_adapter, kette_adapter_ref, kette_adapter_unref> handle_;
};
static_assert(sizeof(adapter) == sizeof(void*), "a handle is one pointer wide");

KETTE_END_NAMESPACE
