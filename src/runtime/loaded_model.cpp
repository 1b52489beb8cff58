#include "runtime/loaded_model.h"

#include <nlohmann/json.hpp>

#include "base/checked.h"

namespace kette {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxJsonFile = 256ull << 20;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Result<std::string> read_all(const Source& source) {
  if (source.size() > kMaxJsonFile)
    return error(Code::kBudget, "{}: {} bytes, expected at most {}", source.name(), source.size(), kMaxJsonFile);
  std::string text(source.size(), '\0');
  KETTE_TRY(source.read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

bool is_gguf(const Source& source) {
  char magic[4] = {};
  return source.size() >= 4 && source.read_at(0, std::as_writable_bytes(std::span(magic))).ok() &&
         std::string_view(magic, 4) == "GGUF";
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

Result<Checkpoint> read_checkpoint(std::unique_ptr<Source> source, const OpenFile& siblings) {
  const OpenSibling sibling = siblings ? OpenSibling(siblings) : OpenSibling();
  KETTE_ASSIGN(Gguf gguf, Gguf::open(std::move(source), sibling, stored_types()));
  return Checkpoint::from_gguf(std::move(gguf));
}

// What the headers say of the weights.
Json describe_checkpoint(const Checkpoint& checkpoint) {
  Json info;
  info["architecture"] = checkpoint.architecture();
  uint64_t parameters = 0, bytes = 0;
  std::map<std::string, uint64_t> types;
  for (const CheckpointTensor& t : checkpoint.tensors()) {
    uint64_t elements = 1;  // products were checked when the table was read
    for (const uint64_t d : t.shape) elements *= d;
    if (t.name != "model.rope_freqs.weight") parameters += elements;  // a table, not learned
    bytes += t.bytes;
    ++types[std::string(t.type->name)];
  }
  info["parameters"] = parameters;
  info["weight_bytes"] = bytes;
  info["file_bytes"] = checkpoint.file_bytes();
  info["tensor_types"] = types;
  const Config& config = checkpoint.config();
  for (const auto& [key, from] : {std::pair{"vocab_size", "vocab_size"}, {"context_length", "max_position_embeddings"},
                                  {"hidden_size", "hidden_size"}, {"num_hidden_layers", "num_hidden_layers"},
                                  {"num_attention_heads", "num_attention_heads"},
                                  {"num_key_value_heads", "num_key_value_heads"}, {"head_dim", "head_dim"}})
    if (auto value = config.integer(from, 0, INT64_MAX); value.ok()) info[key] = *value;
  return info;
}

}  // namespace

Result<std::shared_ptr<LoadedModel>> LoadedModel::open(std::shared_ptr<Runtime> runtime, const OpenFile& open,
                                                       const std::string& path, const OpenOptions& options) {
  const std::string directory = directory_of(path);
  const OpenFile beside = [&](const std::string& name) { return open(directory + name); };
  auto source = open(path);
  if (source.ok()) return LoadedModel::open(std::move(runtime), std::move(*source), beside, options);
  // Perhaps a directory as Hugging Face lays it out.
  const OpenFile inside = [&](const std::string& name) { return open(path + "/" + name); };
  if (auto tokenizer = inside("tokenizer.json"); tokenizer.ok()) {
    if (options.vocab_only) return LoadedModel::open(std::move(runtime), std::move(*tokenizer), inside, options);
    return error(Code::kUnsupported, "{:.200}: a directory with a Hugging Face checkpoint; weights are read from GGUF files",
                 path);
  }
  return std::move(source).status();
}

Result<std::shared_ptr<LoadedModel>> LoadedModel::open(std::shared_ptr<Runtime> runtime, std::unique_ptr<Source> source,
                                                       const OpenFile& siblings, const OpenOptions& options) {
  if (!options.weight_type.empty())
    return error(Code::kUnsupported, "weight_type {:.32}: weights are used as stored", options.weight_type);
  auto loaded = std::make_shared<LoadedModel>();
  loaded->runtime_ = std::move(runtime);
  loaded->store_ = WeightStore(loaded->runtime_->allocator.get());
  loaded->mode_ = options.mode;
  loaded->name_ = source->name();
  if (is_gguf(*source)) {
    KETTE_ASSIGN(loaded->checkpoint_, read_checkpoint(std::move(source), siblings));
    KETTE_TRY(loaded->load_text(loaded->checkpoint_->chat_template()).within(loaded->name_));
    if (!options.vocab_only) KETTE_TRY(loaded->load_weights(options).within(loaded->name_));
  } else if (options.vocab_only) {
    KETTE_TRY(loaded->load_tokenizer_json(*source, siblings).within(loaded->name_));
  } else {
    return error(Code::kFormat, "{:.200}: not a GGUF file (it does not begin with \"GGUF\")", loaded->name_);
  }
  loaded->describe();
  return loaded;
}

Result<std::string> LoadedModel::probe(const OpenFile& open, const std::string& path) {
  const std::string directory = directory_of(path);
  KETTE_ASSIGN(std::unique_ptr<Source> source, open(path));
  KETTE_ASSIGN(const Checkpoint checkpoint, read_checkpoint(std::move(source), [&](const std::string& name) {
                 return open(directory + name);
               }));
  return dump(describe_checkpoint(checkpoint));
}

Status LoadedModel::load_text(std::string_view template_source) {
  const Gguf& gguf = *checkpoint_->gguf();
  const auto vocabulary = gguf.string("tokenizer.ggml.model");
  if (vocabulary && *vocabulary != "no_vocab") {
    KETTE_ASSIGN(tokenizer_, Tokenizer::from_gguf(gguf));
  }
  if (!template_source.empty()) {
    // A template Kette cannot read must not keep the model from running: whoever renders gets the reason.
    auto compiled = ChatTemplate::compile(template_source);
    if (compiled.ok())
      template_ = std::move(*compiled);
    else
      template_problem_ = compiled.status().message();
  }
  return {};
}

Status LoadedModel::load_tokenizer_json(const Source& source, const OpenFile& siblings) {
  KETTE_ASSIGN(const std::string tokenizer, read_all(source));
  std::string config, template_source;
  if (siblings) {
    if (auto file = siblings("tokenizer_config.json"); file.ok()) {
      KETTE_ASSIGN(config, read_all(**file));
    }
    if (auto file = siblings("chat_template.jinja"); file.ok()) {
      KETTE_ASSIGN(template_source, read_all(**file));
    }
  }
  KETTE_ASSIGN(tokenizer_, Tokenizer::from_json(tokenizer, config));
  if (template_source.empty()) {
    const Json parsed = Json::parse(config, nullptr, false);
    if (parsed.is_object() && parsed.contains("chat_template") && parsed["chat_template"].is_string())
      template_source = parsed["chat_template"].get<std::string>();
  }
  if (template_source.empty()) return {};
  auto compiled = ChatTemplate::compile(template_source);
  if (compiled.ok())
    template_ = std::move(*compiled);
  else
    template_problem_ = compiled.status().message();
  return {};
}

Status LoadedModel::load_weights(const OpenOptions& options) {
  uint64_t total = 0;
  for (const CheckpointTensor& t : checkpoint_->tensors()) total += t.bytes;
  if (options.memory_budget > 0 && total > options.memory_budget)
    return error(Code::kBudget, "weights need {} bytes, the budget is {}", total, options.memory_budget);
  BinderOptions binding{&runtime_->kernels, mode_, options.map, options.mla_form, {}};
  binding.progress = [&](uint64_t done) -> Status {
    if (cancelled(options.cancel)) return error(Code::kCancelled, "loading was cancelled at {} of {} bytes", done, total);
    if (options.progress && !options.progress(done, total))
      return error(Code::kHost, "the progress callback stopped loading at {} of {} bytes", done, total);
    return {};
  };
  KETTE_TRY(binding.progress(0));
  Binder binder(*checkpoint_, store_, binding);
  KETTE_ASSIGN(model_, bind_model(binder));
  weight_bytes_ = total;
  if (tokenizer_ && tokenizer_->vocab_size() > model_->shape().vocab_size)
    return error(Code::kCorrupt, "the tokenizer has {} tokens, the embedding {} rows", tokenizer_->vocab_size(),
                 model_->shape().vocab_size);
  return {};
}

Result<const Tokenizer*> LoadedModel::tokenizer() const {
  if (!tokenizer_) return error(Code::kUnsupported, "{:.200}: the file has no vocabulary", name_);
  return &*tokenizer_;
}

Result<const ChatTemplate*> LoadedModel::chat_template() const {
  if (!template_ && !template_problem_.empty())
    return error(Code::kUnsupported, "{:.200}: chat template: {}", name_, template_problem_);
  if (!template_) return error(Code::kUnsupported, "{:.200}: the file has no chat template", name_);
  return &*template_;
}

std::optional<int64_t> LoadedModel::info_number(const std::string& key) const {
  const Json info = Json::parse(info_, nullptr, false);
  const auto it = info.find(key);
  if (it == info.end() || !it->is_number_integer()) return std::nullopt;
  return it->get<int64_t>();
}

void LoadedModel::describe() {
  Json info;
  if (checkpoint_) info = describe_checkpoint(*checkpoint_);
  info["name"] = name_;
  info["isa"] = isa_name(runtime_->kernels.isa);
  info["mode"] = mode_ == nn::Mode::kExact ? "exact" : mode_ == nn::Mode::kDeterministic ? "deterministic" : "fast";
  info["weights_loaded"] = model_ != nullptr;
  info["has_chat_template"] = template_.has_value();
  if (tokenizer_) {
    if (!info.contains("vocab_size")) info["vocab_size"] = tokenizer_->vocab_size();
    info["tokenizer_tokens"] = tokenizer_->vocab_size();
    if (tokenizer_->bos()) info["bos_token_id"] = *tokenizer_->bos();
    info["eos_token_ids"] = tokenizer_->end_of_generation();
  }
  info_ = dump(info);
}

}  // namespace kette
