#include "file/checkpoint.h"

#include <optional>

#include "file/gguf_config.h"
#include "file/gguf_deepseek.h"
#include "file/gguf_names.h"
#include "file/hf_directory.h"
#include "file/name_index.h"
#include "file/printable.h"

namespace kette {

struct Checkpoint::Impl {
  std::optional<Gguf> gguf;
  std::vector<std::unique_ptr<Source>> files;  // of a Hugging Face checkpoint
  std::string architecture, chat_template, name;
  Config config, generation;
  std::vector<CheckpointTensor> tensors;
  NameIndex by_name;  // of tensors
  uint64_t file_bytes = 0;

  auto name_at() const {
    return [this](uint32_t i) -> std::string_view { return tensors[i].name; };
  }

  Status translate() {
    // LoRA adapters, vision projectors and importance matrices are GGUF files as well.
    if (const auto type = gguf->string("general.type"); type && *type != "model") {
      return error(Code::kUnsupported, "general.type: \"{}\", expected \"model\"", printable(*type, 32));
    }
    const auto arch = gguf->string("general.architecture");
    if (!arch) return error(Code::kCorrupt, "general.architecture: missing, expected a string");
    const GgufArchitecture* row = find_gguf_architecture(*arch);
    if (row == nullptr) {
      return error(Code::kUnsupported, "general.architecture: \"{}\", supported are {}", printable(*arch, 32),
                   gguf_architecture_list());
    }
    architecture = row->gguf == "deepseek2" ? deepseek2_architecture(*gguf) : row->hf;
    chat_template = gguf->string("tokenizer.chat_template").value_or("");
    KETTE_ASSIGN(config, config_from_gguf(*gguf, *row));
    tensors.reserve(gguf->tensors().size());
    for (const GgufTensor& t : gguf->tensors()) {
      tensors.push_back({canonical_tensor_name(t.name, row->gguf), t.type, t.shape, t.bytes, &gguf->shard(t.shard),
                         t.offset, row->interleaved_qk && is_qk_projection(t.name)});
    }
    return index();
  }

  Status index() {
    if (const auto twice = by_name.build(tensors.size(), name_at())) {
      return error(Code::kCorrupt, "two tensors mean {}", printable(name_at()(*twice), 96));
    }
    return {};
  }
};

Result<Checkpoint> Checkpoint::from_gguf(Gguf gguf) {
  auto impl = std::make_unique<Impl>();
  impl->name = gguf.shard(0).name();
  for (uint32_t i = 0; i < gguf.shard_count(); ++i) impl->file_bytes += gguf.shard(i).size();
  impl->gguf = std::move(gguf);
  if (Status status = impl->translate(); !status.ok()) return std::move(status).within(file_label(impl->name));
  return Checkpoint(std::move(impl));
}

Result<Checkpoint> Checkpoint::from_hf(const OpenSibling& open, const std::string& weights, std::string name,
                                       std::span<const SafetensorsType> types) {
  auto impl = std::make_unique<Impl>();
  auto read = read_hf_weights(open, weights, types);
  if (!read.ok()) return std::move(read).status().within(file_label(name));
  impl->name = std::move(name);
  impl->architecture = std::move(read->architecture);
  impl->config = std::move(read->config);
  impl->generation = std::move(read->generation);
  impl->tensors = std::move(read->tensors);
  impl->files = std::move(read->files);
  for (const auto& file : impl->files) impl->file_bytes += file->size();
  if (Status status = impl->index(); !status.ok()) return std::move(status).within(file_label(impl->name));
  return Checkpoint(std::move(impl));
}

const std::string& Checkpoint::architecture() const { return impl_->architecture; }
const Config& Checkpoint::config() const { return impl_->config; }
const Config& Checkpoint::generation() const { return impl_->generation; }
std::span<const CheckpointTensor> Checkpoint::tensors() const { return impl_->tensors; }
const Gguf* Checkpoint::gguf() const { return impl_->gguf ? &*impl_->gguf : nullptr; }
const std::string& Checkpoint::chat_template() const { return impl_->chat_template; }
const std::string& Checkpoint::name() const { return impl_->name; }
uint64_t Checkpoint::file_bytes() const { return impl_->file_bytes; }

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto i = impl_->by_name.find(name, impl_->name_at());
  return i ? &impl_->tensors[*i] : nullptr;
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

}  // namespace kette
