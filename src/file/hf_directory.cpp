#include "file/hf_directory.h"

#include <algorithm>

#include "file/config_json.h"
#include "file/json_events.h"
#include "file/printable.h"
#include "file/safetensors.h"
#include "file/safetensors_index.h"

namespace kette {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

template <class Read>
auto read_settings(const OpenSibling& open, const std::string& name, const char* missing, Read read)
    -> decltype(read(std::string_view())) {
  KETTE_ASSIGN(const std::string text, read_text(open, name, name == kIndex ? kMaxText : kMaxSettings, missing));
  auto settings = read(text);
  if (!settings.ok()) return std::move(settings).status().within(name);
  return settings;
}

Status add_file(const OpenSibling& open, const std::string& name, std::span<const SafetensorsType> types,
                HfWeights& out) {
  KETTE_ASSIGN(std::unique_ptr<Source> source, open(name));
  if (source == nullptr) return error(Code::kHost, "{}: no file was opened", name);
  KETTE_ASSIGN(Safetensors file, Safetensors::read(*source, types));
  for (SafetensorsTensor& t : file.tensors)
    out.tensors.push_back({std::move(t.name), t.type, std::move(t.shape), t.bytes, source.get(), t.offset});
  out.files.push_back(std::move(source));
  return {};
}

// The files and the index agree on where every tensor is.
Status compare(const HfWeights& weights, const SafetensorsIndex& index) {
  auto row = index.rows.begin();
  for (const CheckpointTensor& t : weights.tensors) {
    if (row == index.rows.end() || t.name < row->tensor) {
      return error(Code::kCorrupt, "{}: tensor {} is not in the index, or in two files", file_label(t.source->name()),
                   printable(t.name, 96));
    }
    if (t.name > row->tensor || t.source != weights.files[row->shard].get()) break;
    ++row;
  }
  if (row == index.rows.end()) return {};
  return error(Code::kCorrupt, "{}: tensor {} is missing, the index says it is there", index.shards[row->shard],
               printable(row->tensor, 96));
}

bool by_name(const CheckpointTensor& a, const CheckpointTensor& b) { return a.name < b.name; }

Status add_indexed(const OpenSibling& open, const std::string& name, std::span<const SafetensorsType> types,
                   HfWeights& out) {
  KETTE_ASSIGN(const SafetensorsIndex index, read_settings(open, name, nullptr, read_safetensors_index));
  for (const std::string& shard : index.shards) KETTE_TRY(add_file(open, shard, types, out));
  std::sort(out.tensors.begin(), out.tensors.end(), by_name);
  return compare(out, index).within(name);
}

Status add_weights(const OpenSibling& open, const std::string& weights, std::span<const SafetensorsType> types,
                   HfWeights& out) {
  if (weights.ends_with(".json")) return add_indexed(open, weights, types, out);
  Status status = add_file(open, weights.empty() ? kSingle : weights, types, out);
  if (weights.empty() && status.code() == Code::kNotFound) {
    status = add_indexed(open, kIndex, types, out);
    if (status.code() == Code::kNotFound && out.files.empty()) {
      return error(Code::kNotFound, "no weights: neither {} nor {} is there, or a file that the latter names is not",
                   kSingle, kIndex);
    }
  }
  KETTE_TRY(std::move(status));
  std::sort(out.tensors.begin(), out.tensors.end(), by_name);
  return {};
}

// "chat_template" of tokenizer_config.json: a text, or a list of texts with names.
class TemplateFinder final : public JsonEvents {
 public:
  std::string text;

  Status begin(bool) override {
    if (++depth_ == 3) name_ = template_ = {};
    return {};
  }
  Status end() override {
    if (depth_ == 3 && wanted_ && name_ == "default") text = std::move(template_);
    --depth_;
    return {};
  }
  Status key(std::string name) override {
    if (depth_ == 1) wanted_ = name == "chat_template";
    if (depth_ == 3) key_ = std::move(name);
    return {};
  }
  Status value(JsonScalar v) override {
    auto* s = std::get_if<std::string>(&v);
    if (!wanted_ || s == nullptr) return {};
    if (depth_ == 1) text = std::move(*s);
    if (depth_ == 3 && key_ == "name") name_ = std::move(*s);
    if (depth_ == 3 && key_ == "template") template_ = std::move(*s);
    return {};
  }

 private:
  size_t depth_ = 0;
  bool wanted_ = false;
  std::string key_, name_, template_;
};

std::string template_of(const std::string& tokenizer_config) {
  TemplateFinder finder;
  // Whoever reads the rest of the file says what is wrong with it.
  return read_json(tokenizer_config, finder).ok() ? std::move(finder.text) : std::string();
}

}  // namespace

Result<std::string> read_text(const OpenSibling& open, const std::string& name, uint64_t most, const char* missing) {
  auto source = open(name);
  if (!source.ok() && source.status().code() == Code::kNotFound && missing != nullptr) return std::string(missing);
  if (!source.ok()) return std::move(source).status();
  const uint64_t size = (*source)->size();
  if (size > most) return error(Code::kBudget, "{}: {} bytes, expected at most {}", name, size, most);
  std::string text(size, '\0');
  KETTE_TRY((*source)->read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

Result<HfWeights> read_hf_weights(const OpenSibling& open, const std::string& weights,
                                  std::span<const SafetensorsType> types) {
  HfWeights out;
  KETTE_ASSIGN(out.config, read_settings(open, "config.json", nullptr, model_config_from_json));
  KETTE_ASSIGN(out.generation, read_settings(open, "generation_config.json", "{}", config_from_json));
  const auto architectures = out.config.strings("architectures");
  if (!architectures.ok() || architectures->empty()) {
    return error(Code::kCorrupt, "config.json: architectures: expected a list of one name");
  }
  out.architecture = architectures->front();
  KETTE_TRY(add_weights(open, weights, types, out));
  if (!out.config.has("tie_word_embeddings")) {
    const bool head = std::any_of(out.tensors.begin(), out.tensors.end(),
                                  [](const CheckpointTensor& t) { return t.name == "lm_head.weight"; });
    out.config.set("tie_word_embeddings", !head);
  }
  return out;
}

Result<HfText> read_hf_text(const OpenSibling& open) {
  HfText out;
  KETTE_ASSIGN(out.tokenizer, read_text(open, "tokenizer.json", kMaxText, ""));
  KETTE_ASSIGN(out.tokenizer_config, read_text(open, "tokenizer_config.json", kMaxSettings, ""));
  KETTE_ASSIGN(out.chat_template, read_text(open, "chat_template.jinja", kMaxSettings, ""));
  if (out.chat_template.empty()) out.chat_template = template_of(out.tokenizer_config);
  return out;
}

}  // namespace kette
