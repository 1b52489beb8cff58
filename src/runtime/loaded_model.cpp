#include "runtime/loaded_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "base/usable_memory.h"
#include "file/hf_directory.h"
#include "file/printable.h"
#include "models/fingerprint.h"
#include "runtime/paths.h"

namespace kette {

// Where a model is: one file and what opens those beside it, or a directory.
struct LoadedModel::Place {
  std::unique_ptr<Source> file;  // nullptr: a directory
  std::string name;              // for messages
  OpenFile beside;               // files of the directory, by their plain names
};

namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kDefaultPrefixCache = 64 << 20;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Weights of a Hugging Face checkpoint: one file, or the index of several.
bool is_safetensors(const std::string& path) {
  return path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json");
}

Result<LoadedModel::Place> find_place(const OpenFile& open, const std::string& path) {
  auto file = open(path);
  if (file.ok()) {
    return LoadedModel::Place{std::move(*file), path,
                              [&open, in = directory_of(path)](const std::string& name) { return open(in + name); }};
  }
  const std::string directory = path.ends_with('/') ? path : path + "/";
  const OpenFile inside = [&open, directory](const std::string& name) { return open(directory + name); };
  if (inside("config.json").ok() || inside("tokenizer.json").ok()) return LoadedModel::Place{nullptr, path, inside};
  const Status& status = file.status();
  return Status(status.code(),
                fmt::format("{}: no file that opens ({}), and no folder with config.json or tokenizer.json",
                            printable(path, 200), status.message()),
                status.os_code());
}

Result<Checkpoint> read_checkpoint(LoadedModel::Place place) {
  const OpenSibling beside = place.beside ? OpenSibling(place.beside) : OpenSibling();
  if (place.file == nullptr) return Checkpoint::from_hf(beside, "", place.name, safetensors_types());
  if (is_gguf(*place.file)) {
    KETTE_ASSIGN(Gguf gguf, Gguf::open(std::move(place.file), beside, stored_types()));
    return Checkpoint::from_gguf(std::move(gguf));
  }
  if (beside && is_safetensors(place.name)) {
    place.file.reset();
    return Checkpoint::from_hf(beside, name_in_directory(place.name), place.name, safetensors_types());
  }
  return error(Code::kFormat,
               "{:.200}: not a GGUF file (it does not begin with \"GGUF\"), a .safetensors file or an index of "
               "those",
               place.name);
}

// What the headers say of the weights.
Json describe_checkpoint(const Checkpoint& checkpoint) {
  Json info;
  info["architecture"] = checkpoint.architecture();
  std::map<std::string, uint64_t> types;
  for (const CheckpointTensor& t : checkpoint.tensors())
    if (is_read(checkpoint, t)) ++types[std::string(t.type->name)];
  const Parameters parameters = count_parameters(checkpoint);
  info["parameters"] = parameters.all;
  info["active_parameters"] = parameters.active;
  info["weight_bytes"] = stored_bytes(checkpoint);
  info["kv_bytes_per_token"] = 2 * kv_numbers_per_token(checkpoint);  // in halves
  info["file_bytes"] = checkpoint.file_bytes();
  info["tensor_types"] = types;
  const Config& config = checkpoint.config();
  for (const auto& [key, from] : {std::pair{"vocab_size", "vocab_size"},
                                  {"context_length", "max_position_embeddings"},
                                  {"hidden_size", "hidden_size"},
                                  {"num_hidden_layers", "num_hidden_layers"},
                                  {"num_attention_heads", "num_attention_heads"},
                                  {"num_key_value_heads", "num_key_value_heads"},
                                  {"head_dim", "head_dim"}})
    if (auto value = config.integer(from, 0, INT64_MAX); value.ok()) info[key] = *value;
  return info;
}

// How the model's makers sample from it.
void describe_generation(const Config& generation, Json& info) {
  for (const char* key : {"temperature", "top_p", "min_p", "repetition_penalty"})
    if (const auto value = generation.real(key, -1e9, 1e9); value.ok()) info["generation"][key] = *value;
  if (const auto value = generation.integer("top_k", 0, INT32_MAX); value.ok()) info["generation"]["top_k"] = *value;
  if (const auto value = generation.boolean("do_sample"); value.ok()) info["generation"]["do_sample"] = *value;
}

// The same as a sampler takes it; empty-handed where the file's numbers are out of range.
Sampling read_sampling(const Config& generation) {
  Sampling out;
  const auto take = [&](const char* key, float& field) {
    if (const auto value = generation.real(key, -1e9, 1e9); value.ok()) field = static_cast<float>(*value);
  };
  take("temperature", out.temperature);
  take("top_p", out.top_p);
  take("min_p", out.min_p);
  take("repetition_penalty", out.repetition_penalty);
  if (const auto value = generation.integer("top_k", 0, INT32_MAX); value.ok())
    out.top_k = static_cast<int32_t>(*value);
  if (const auto value = generation.boolean("do_sample"); value.ok() && !*value) out.temperature = 0;
  return validate(out, INT32_MAX).ok() ? out : Sampling{};
}

// What a chat with the model can do.
void describe_dialect(const Dialect& dialect, Json& info) {
  const Thinking& thinking = dialect.thinking;
  if (thinking.known()) {
    const char* const controls[] = {"none", "variable", "prefill"};
    info["thinking"] = {{"open", thinking.open},
                        {"close", thinking.close},
                        {"control", controls[static_cast<size_t>(thinking.control)]},
                        {"opened_by_prompt", thinking.usual_start == AnswerStart::kInThought},
                        {"off_by_default", thinking.usual_start == AnswerStart::kAfterThought},
                        {"drops_earlier_thoughts", dialect.history.drops_spelled}};
    if (!thinking.variable.empty()) info["thinking"]["variable"] = thinking.variable;
  }
  if (dialect.tools != nullptr) info["tool_calls"] = dialect.tools->name;
}

PlanOptions plan_options(const OpenOptions& options, const WeightTypes& types) {
  return {types,        options.map,          !options.pack_dir.empty(),
          options.mode, options.plan_context, options.prefix_cache_bytes};
}

Json describe_plan(const MemoryPlan& plan) {
  return {{"weight_bytes", plan.mapped + plan.resident},
          {"mapped_bytes", plan.mapped},
          {"resident_bytes", plan.resident},
          {"kv_bytes", plan.kv},
          {"scratch_bytes", plan.scratch},
          {"prefix_cache_bytes", plan.prefix},
          {"bytes", plan.all()}};
}

// Weights of each kind with one session, and whether this machine holds them.
Json describe_memory(const Checkpoint& checkpoint, const OpenOptions& options, const WeightTypes& wanted,
                     const Runtime& runtime) {
  const uint64_t memory = usable_memory();
  Json plans;
  MemoryPlan last;
  const auto add = [&](const std::string& name, const WeightTypes& types) {
    last = plan_memory(checkpoint, plan_options(options, types), runtime);
    plans[name] = describe_plan(last);
    if (memory > 0) plans[name]["fits"] = last.all() <= memory;
    if (options.memory_budget > 0) plans[name]["within_budget"] = last.all() <= options.memory_budget;
  };
  add("as_stored", {});
  for (const std::string_view type : kWeightTypes)
    if (const auto types = WeightTypes::parse(type); types.ok()) add(std::string(type), *types);
  if (wanted.any()) add(options.weight_type, wanted);
  Json out = {{"memory_bytes", memory},
              {"context", last.context},
              {"kv_bytes", last.kv},
              {"scratch_bytes", last.scratch},
              {"weight_types", plans}};
  if (options.memory_budget > 0) out["budget_bytes"] = options.memory_budget;
  return out;
}

// Whether this machine can run the model as it would be opened, and every reason why not.
Json describe_machine(const Checkpoint& checkpoint, const OpenOptions& options, const WeightTypes& wanted,
                      const Runtime& runtime) {
  std::vector<std::string> reasons;
  const bool supported = has_model(checkpoint.architecture());
  if (!supported) reasons.push_back(fmt::format("architecture {:.64}: no model for it", checkpoint.architecture()));
  std::vector<std::string_view> unknown;
  for (const CheckpointTensor& t : checkpoint.tensors())
    if (is_read(checkpoint, t) && find_format(t.type->name) == nullptr &&
        std::ranges::find(unknown, t.type->name) == unknown.end())
      unknown.push_back(t.type->name);
  if (!unknown.empty())
    reasons.push_back(fmt::format("tensors are stored as {}: no weight format", fmt::join(unknown, ", ")));
  const MemoryPlan plan = plan_memory(checkpoint, plan_options(options, wanted), runtime);
  const uint64_t memory = usable_memory();
  if (memory > 0 && plan.must_fit() > memory)
    reasons.push_back(
        fmt::format("{}; {} of them must be in memory, which has {}", plan.text(), plan.must_fit(), memory));
  if (options.memory_budget > 0 && plan.all() > options.memory_budget)
    reasons.push_back(fmt::format("{}, the budget is {}", plan.text(), options.memory_budget));
  Json out = {{"can_run", reasons.empty()},
              {"architecture_supported", supported},
              {"isa", isa_name(runtime.kernels.isa)},
              {"threads", runtime.executor->width()}};
  // What is mapped may be larger than the memory: then every token waits for the disk.
  if (memory > 0) out["fits_in_memory"] = plan.all() <= memory;
  out["reasons"] = reasons;
  return out;
}

}  // namespace

Result<std::shared_ptr<LoadedModel>> LoadedModel::open(std::shared_ptr<Runtime> runtime, const OpenFile& open,
                                                       const std::string& path, const OpenOptions& options) {
  KETTE_ASSIGN(Place place, find_place(open, path));
  return open_place(std::move(runtime), std::move(place), options);
}

Result<std::shared_ptr<LoadedModel>> LoadedModel::open(std::shared_ptr<Runtime> runtime, std::unique_ptr<Source> source,
                                                       const OpenFile& siblings, const OpenOptions& options) {
  std::string name = source->name();
  return open_place(std::move(runtime), Place{std::move(source), std::move(name), siblings}, options);
}

Result<std::shared_ptr<LoadedModel>> LoadedModel::open_place(std::shared_ptr<Runtime> runtime, Place place,
                                                             const OpenOptions& options) {
  KETTE_TRY(WeightTypes::parse(options.weight_type).status());
  auto loaded = std::make_shared<LoadedModel>();
  loaded->runtime_ = std::move(runtime);
  loaded->store_ = WeightStore(loaded->runtime_->allocator.get());
  loaded->mode_ = options.mode;
  loaded->name_ = place.name;
  const OpenFile beside = place.beside;
  const bool directory = place.file == nullptr || (beside && is_safetensors(place.name));
  if (options.vocab_only && !(place.file != nullptr && is_gguf(*place.file))) {
    // A directory, a file of weights in one, or a tokenizer.json itself, which may have any name.
    KETTE_TRY(loaded->load_hf_text(directory ? nullptr : place.file.get(), beside).within(loaded->name_));
  } else {
    KETTE_ASSIGN(loaded->checkpoint_, read_checkpoint(std::move(place)));
    KETTE_TRY(
        (loaded->checkpoint_->gguf() != nullptr ? loaded->load_gguf_text() : loaded->load_hf_text(nullptr, beside))
            .within(loaded->name_));
    if (!options.vocab_only) KETTE_TRY(loaded->load_weights(options).within(loaded->name_));
  }
  KETTE_TRY(loaded->find_ends().within(loaded->name_));
  if (loaded->checkpoint_) loaded->sampling_ = read_sampling(loaded->checkpoint_->generation());
  loaded->describe();
  return loaded;
}

Result<std::string> LoadedModel::probe(const Runtime& runtime, const OpenFile& open, const std::string& path,
                                       const OpenOptions& options) {
  KETTE_ASSIGN(const WeightTypes types, WeightTypes::parse(options.weight_type));
  KETTE_ASSIGN(Place place, find_place(open, path));
  KETTE_ASSIGN(const Checkpoint checkpoint, read_checkpoint(std::move(place)));
  Json info = describe_checkpoint(checkpoint);
  info["memory"] = describe_memory(checkpoint, options, types, runtime);
  info["machine"] = describe_machine(checkpoint, options, types, runtime);
  return dump(info);
}

Status LoadedModel::load_gguf_text() {
  const Gguf& gguf = *checkpoint_->gguf();
  const auto vocabulary = gguf.string("tokenizer.ggml.model");
  if (vocabulary && *vocabulary != "no_vocab") {
    KETTE_ASSIGN(tokenizer_, Tokenizer::from_gguf(gguf));
  }
  compile_template(checkpoint_->chat_template());
  return {};
}

Status LoadedModel::load_hf_text(const Source* tokenizer, const OpenFile& beside) {
  const OpenSibling none = [](const std::string& name) { return error(Code::kNotFound, "{}: no directory", name); };
  KETTE_ASSIGN(HfText text, read_hf_text(beside ? OpenSibling(beside) : none));
  if (tokenizer != nullptr) {
    if (tokenizer->size() > kMaxText)
      return error(Code::kBudget, "{:.200}: {} bytes, expected a tokenizer.json of at most {}", name_,
                   tokenizer->size(), kMaxText);
    text.tokenizer.resize(tokenizer->size());
    KETTE_TRY(tokenizer->read_at(0, std::as_writable_bytes(std::span(text.tokenizer))));
  }
  if (!text.tokenizer.empty()) {
    KETTE_ASSIGN(tokenizer_, Tokenizer::from_json(text.tokenizer, text.tokenizer_config));
  } else if (!checkpoint_) {
    return error(Code::kNotFound, "tokenizer.json: not there");
  }
  compile_template(text.chat_template);
  return {};
}

// The tokenizer's, and eos_token_id of generation_config.json, else of config.json.
Status LoadedModel::find_ends() {
  if (tokenizer_) ends_.assign(tokenizer_->end_of_generation().begin(), tokenizer_->end_of_generation().end());
  if (!checkpoint_ || checkpoint_->gguf() != nullptr) return {};
  for (const Config* config : {&checkpoint_->generation(), &checkpoint_->config()}) {
    if (!config->has("eos_token_id")) continue;
    KETTE_ASSIGN(const std::vector<int64_t> ids, config->integers("eos_token_id"));
    for (const int64_t id : ids)
      if (id >= 0 && id <= INT32_MAX && std::ranges::find(ends_, id) == ends_.end())
        ends_.push_back(static_cast<Token>(id));
    break;
  }
  return {};
}

// A template Kette cannot read must not keep the model from running: whoever renders gets the reason.
void LoadedModel::compile_template(std::string_view source) {
  if (source.empty()) return;
  auto compiled = ChatTemplate::compile(source);
  if (!compiled.ok()) {
    template_problem_ = compiled.status().message();
    return;
  }
  template_ = std::move(*compiled);
  const auto spelling = [&](std::optional<Token> token) {
    return token ? tokenizer_->bytes_of(*token) : std::string_view();
  };
  if (tokenizer_) dialect_ = Dialect::of(*template_, spelling(tokenizer_->bos()), spelling(tokenizer_->eos()));
}

Status LoadedModel::load_weights(const OpenOptions& options) {
  KETTE_ASSIGN(const WeightTypes types, WeightTypes::parse(options.weight_type));
  // Known before anything is allocated.
  plan_options_ = plan_options(options, types);
  memory_budget_ = options.memory_budget;
  weight_bytes_ = ::kette::weight_bytes(*checkpoint_, types);
  const MemoryPlan plan = plan_memory(*checkpoint_, plan_options_, *runtime_);
  if (!options.prefix_cache && options.prefix_cache_bytes > 0)
    return error(Code::kInvalidArgument, "prefix_cache_bytes: {} where the cache of prefixes is switched off",
                 options.prefix_cache_bytes);
  if (options.prefix_cache)
    prefixes_ = std::make_unique<PrefixIndex>(options.prefix_cache_bytes > 0 ? options.prefix_cache_bytes
                                                                             : kDefaultPrefixCache);
  KETTE_TRY(check_budget(plan.context, plan.kv));
  const uint64_t total = stored_bytes(*checkpoint_);
  BinderOptions binding{.kernels = &runtime_->kernels,
                        .mode = mode_,
                        .map = options.map,
                        .mla_form = options.mla_form,
                        .executor = runtime_->executor.get(),
                        .types = types,
                        .pack = nullptr,
                        .progress = {}};
  uint64_t most = 0;  // matrices of a new pack are told once, while they are encoded
  binding.progress = [&](uint64_t bytes) -> Status {
    most = std::max(most, bytes);
    if (cancelled(options.cancel))
      return error(Code::kCancelled, "loading was cancelled at {} of {} bytes", most, total);
    if (options.progress && !options.progress(most, total))
      return error(Code::kHost, "the progress callback stopped loading at {} of {} bytes", most, total);
    return {};
  };
  KETTE_TRY(binding.progress(0));
  if (!options.pack_dir.empty()) {
    KETTE_TRY(prepare_pack(options, binding));
    binding.pack = pack_ ? &*pack_ : nullptr;
    plan_options_.packed = pack_.has_value();
  }
  Binder binder(*checkpoint_, store_, binding);
  KETTE_ASSIGN(model_, bind_model(binder));
  if (tokenizer_ && tokenizer_->vocab_size() > model_->shape().vocab_size)
    return error(Code::kCorrupt, "the tokenizer has {} tokens, the embedding {} rows", tokenizer_->vocab_size(),
                 model_->shape().vocab_size);
  return {};
}

Status LoadedModel::check_budget(uint64_t context, uint64_t kv_bytes) const {
  if (memory_budget_ == 0) return {};
  PlanOptions options = plan_options_;
  options.context = context;
  MemoryPlan plan = plan_memory(*checkpoint_, options, *runtime_);
  plan.kv = kv_bytes;
  if (plan.all() <= memory_budget_) {
    // A size that nobody asked for gives way.
    if (prefixes_ != nullptr && plan.prefix == 0) prefixes_->lower_limit(memory_budget_ - plan.all());
    return {};
  }
  return error(Code::kBudget, "{}, the budget is {}", plan.text(), memory_budget_);
}

// With the weights, as a session is looked at: how many of them there are at once is the host's affair.
Status LoadedModel::check_scheduler_budget(uint64_t max_batch) const {
  if (memory_budget_ == 0) return {};
  MemoryPlan plan = plan_memory(*checkpoint_, plan_options_, *runtime_);
  plan.context = plan.kv = 0;
  plan.scratch = scheduler_scratch_bytes(max_batch);
  if (plan.all() <= memory_budget_) return {};
  return error(Code::kBudget, "a scheduler of {} sessions: {}, the budget is {}", max_batch, plan.text(),
               memory_budget_);
}

// Opens the pack of an earlier opening, or makes it. What keeps a pack from being made is told and keeps nothing from
// being opened.
Status LoadedModel::prepare_pack(const OpenOptions& options, const BinderOptions& binding) {
  const std::vector<EncodedTensor> tensors = encoded_tensors(*checkpoint_, binding.types);
  if (tensors.empty() || !has_model(checkpoint_->architecture())) {
    pack_report_.state = "not_needed";
    return {};
  }
  const auto make = [&]() -> Status {
    KETTE_ASSIGN(pack_, Pack::plan(*checkpoint_, tensors, *runtime_->executor, [&] { return binding.progress(0); }));
    return encode_into_pack(options.pack_dir, options.map ? Access::kMap : Access::kRead, binding);
  };
  Status status = make();
  if (status.ok()) return {};
  pack_.reset();
  // The host's word, not the folder's.
  if (status.code() == Code::kCancelled || status.code() == Code::kHost) return status;
  if (runtime_->log) runtime_->log(LogLevel::kWarning, "pack", status.message());
  pack_report_.state = "failed";
  pack_report_.problem = status.message();
  return {};
}

Status LoadedModel::encode_into_pack(const std::string& directory, Access access, const BinderOptions& binding) {
  const Status found = pack_->open(directory, access);
  if (found.ok()) {
    pack_report_.state = "found";
    return {};
  }
  if (found.code() != Code::kNotFound) pack_report_.rejected = found.message();
  WeightStore scales(runtime_->allocator.get());
  Binder encoder(*checkpoint_, scales, binding);
  KETTE_TRY(pack_->write(directory, encoder));
  KETTE_TRY(pack_->open(directory, access));
  pack_report_.state = "written";
  return {};
}

const std::string& LoadedModel::architecture() const {
  static const std::string none;
  return checkpoint_ ? checkpoint_->architecture() : none;
}

Result<const Tokenizer*> LoadedModel::tokenizer() const {
  if (!tokenizer_) return error(Code::kUnsupported, "{:.200}: the file has no vocabulary", name_);
  return &*tokenizer_;
}

Result<std::shared_ptr<const TokenIndex>> LoadedModel::token_index() const {
  KETTE_ASSIGN(const Tokenizer* tokenizer, this->tokenizer());
  const std::lock_guard lock(token_index_mutex_);
  if (token_index_ != nullptr) return token_index_;
  // Logits may have rows that no token stands for.
  const size_t n = model_ != nullptr ? model_->shape().vocab_size : tokenizer->vocab_size();
  const auto bytes_of = [&](Token token) {
    return tokenizer->is_special(token) ? std::string_view() : tokenizer->bytes_of(token);
  };
  std::vector<Token> ends = ends_;
  std::erase_if(ends, [&](Token end) { return static_cast<size_t>(end) >= n; });
  KETTE_ASSIGN(token_index_, TokenIndex::build(n, bytes_of, ends));
  return token_index_;
}

Result<const ChatTemplate*> LoadedModel::chat_template() const {
  if (!template_ && !template_problem_.empty())
    return error(Code::kUnsupported, "{:.200}: chat template: {}", name_, template_problem_);
  if (!template_) return error(Code::kUnsupported, "{:.200}: the file has no chat template", name_);
  return &*template_;
}

Result<Hash128> LoadedModel::fingerprint() const {
  const std::lock_guard lock(fingerprint_mutex_);
  if (!fingerprint_) {
    if (model_ == nullptr) return error(Code::kMisuse, "{:.200}: opened for its vocabulary only", name_);
    const auto tied = checkpoint_->config().boolean("tie_word_embeddings", false);
    std::vector<EncodedTensor> tensors;
    for (const CheckpointTensor& t : checkpoint_->tensors())
      if (is_read(*checkpoint_, t)) tensors.push_back({&t, plan_options_.types.target(t, tied.ok() && *tied), t.bytes});
    KETTE_ASSIGN(fingerprint_, ::kette::fingerprint(*checkpoint_, tensors, *runtime_->executor));
  }
  return *fingerprint_;
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
  if (model_ != nullptr) {
    info["weight_bytes"] = weight_bytes_;
    info["resident_weight_bytes"] = store_.bytes();
    info["prefix_cache_bytes"] = prefixes_ != nullptr ? prefixes_->limit() : 0;
    info["memory"] = describe_plan(plan_memory(*checkpoint_, plan_options_, *runtime_));
  }
  if (const PackReport& r = pack_report_; !r.state.empty()) {
    info["pack"] = {{"state", r.state}};
    if (pack_) info["pack"]["file"] = pack_->source().name();
    if (pack_) info["pack"]["bytes"] = pack_->bytes();
    if (!r.rejected.empty()) info["pack"]["rejected"] = r.rejected;
    if (!r.problem.empty()) info["pack"]["problem"] = r.problem;
  }
  info["has_chat_template"] = template_.has_value();
  if (template_) describe_dialect(dialect_, info);
  if (checkpoint_) describe_generation(checkpoint_->generation(), info);
  if (tokenizer_) {
    if (!info.contains("vocab_size")) info["vocab_size"] = tokenizer_->vocab_size();
    info["tokenizer_tokens"] = tokenizer_->vocab_size();
    if (tokenizer_->bos()) info["bos_token_id"] = *tokenizer_->bos();
    info["eos_token_ids"] = ends_;
  }
  info_ = dump(info);
}

}  // namespace kette
