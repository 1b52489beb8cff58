#include "runtime/adapter.h"

#include <algorithm>

#include "base/hash.h"
#include "file/printable.h"
#include "runtime/paths.h"

namespace kette {
namespace {

Result<LoraFile> read_lora(const OpenFile& open, const std::string& path) {
  auto file = open(path);
  const auto beside = [&open](std::string directory) -> OpenSibling {
    return [&open, directory = std::move(directory)](const std::string& name) { return open(directory + name); };
  };
  if (file.ok() && is_gguf(**file)) {
    KETTE_ASSIGN(Gguf gguf, Gguf::open(std::move(*file), beside(directory_of(path)), stored_types()));
    return read_gguf_lora(std::move(gguf));
  }
  if (file.ok() && path.ends_with(".safetensors"))
    return read_peft_lora(beside(directory_of(path)), name_in_directory(path), safetensors_types());
  if (file.ok())
    return error(Code::kFormat, "not a GGUF file (it does not begin with \"GGUF\") or a .safetensors file");
  const OpenSibling inside = beside(path.ends_with('/') ? path : path + "/");
  if (inside("adapter_config.json").ok()) return read_peft_lora(inside, "", safetensors_types());
  const Status& status = file.status();
  return Status(status.code(),
                fmt::format("no file that opens ({}), and no folder with adapter_config.json", status.message()),
                status.os_code());
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::open(std::shared_ptr<const LoadedModel> loaded, const OpenFile& open,
                                                     const std::string& path, const CancelFlag* cancel) {
  if (loaded->model() == nullptr)
    return error(Code::kMisuse, "the model was opened for its vocabulary only; an adapter needs weights");
  const auto read = [&]() -> Result<BoundLora> {
    KETTE_ASSIGN(const LoraFile file, read_lora(open, path));
    if (!file.architecture.empty() && file.architecture != loaded->architecture())
      return error(Code::kUnsupported, "made for {}, the model is {}", file.architecture, loaded->architecture());
    return bind_lora(file, *loaded->model(), loaded->runtime().kernels, loaded->runtime().allocator.get(),
                     [&] { return cancelled(cancel) ? Status(Code::kCancelled, "opening was cancelled") : Status(); });
  };
  auto lora = read();
  if (!lora.ok()) return std::move(lora).status().within(printable(path, 200));
  return std::shared_ptr<const Adapter>(new Adapter(std::move(loaded), std::move(*lora)));
}

void Adapter::attach(float scale, nn::Adapters& to) const {
  for (const BoundLora::Part& part : lora_.parts) {
    nn::LowRank scaled = part.low_rank;
    scaled.scale *= scale;
    to.add(part.matrix, scaled);
  }
}

bool AttachedAdapters::set(std::shared_ptr<const Adapter> adapter, float scale) {
  std::vector<Attached> all = all_;
  const auto it = std::ranges::find(all, adapter, &Attached::adapter);
  if (it == all.end() ? scale == 0 : it->scale == scale) return false;
  if (it == all.end())
    all.push_back({std::move(adapter), scale});
  else if (scale == 0)
    all.erase(it);
  else
    it->scale = scale;
  apply(std::move(all));
  return true;
}

bool AttachedAdapters::clear() {
  if (all_.empty()) return false;
  apply({});
  return true;
}

void AttachedAdapters::apply(std::vector<Attached> all) {
  nn::Adapters in_pass;
  for (const auto& [adapter, scale] : all) adapter->attach(scale, in_pass);
  all_ = std::move(all);
  in_pass_ = std::move(in_pass);
}

std::string AttachedAdapters::key() const {
  if (all_.empty()) return {};
  Hash128 hash;
  for (const Attached& a : all_) {
    hash.text(a.adapter->key());
    hash.bytes(std::as_bytes(std::span(&a.scale, 1)));
  }
  return hash.hex();
}

}  // namespace kette
