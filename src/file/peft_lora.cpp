// Sources: the adapter files that PEFT's save_pretrained writes, and its LoraConfig (names and defaults).
#include <algorithm>
#include <cmath>
#include <set>

#include "file/config_json.h"
#include "file/hf_directory.h"
#include "file/json_events.h"
#include "file/lora.h"
#include "file/printable.h"

namespace kette {
namespace {

constexpr const char* kSettings = "adapter_config.json";
constexpr const char* kWeights = "adapter_model.safetensors";
constexpr int64_t kMostRank = 1 << 16;

// Which members of the outermost object say something: not null, false, [] or {}.
class Said final : public JsonEvents {
 public:
  std::set<std::string, std::less<>> keys;

  Status begin(bool) override {
    if (++depth_ > 2) keys.insert(key_);
    return {};
  }
  Status end() override {
    --depth_;
    return {};
  }
  Status key(std::string name) override {
    if (depth_ == 1) key_ = std::move(name);
    return {};
  }
  Status value(JsonScalar value) override {
    const auto* flag = std::get_if<bool>(&value);
    const bool nothing = std::holds_alternative<std::nullptr_t>(value) || (flag != nullptr && !*flag);
    if (depth_ > 1 || !nothing) keys.insert(key_);
    return {};
  }

 private:
  size_t depth_ = 0;
  std::string key_;
};

// All that would make a module something else than W x + alpha / r * B A x.
Status check_kind(std::string_view json, const Config& config) {
  KETTE_ASSIGN(const std::string type, config.string("peft_type", "LORA"));
  if (type != "LORA") return error(Code::kUnsupported, "peft_type: \"{}\", expected \"LORA\"", printable(type, 32));
  KETTE_ASSIGN(const std::string bias, config.string("bias", "none"));
  if (bias != "none") return error(Code::kUnsupported, "bias: \"{}\", expected \"none\"", printable(bias, 32));
  Said said;
  KETTE_TRY(read_json(json, said));
  for (const char* key :
       {"use_dora", "modules_to_save", "fan_in_fan_out", "lora_bias", "layer_replication", "trainable_token_indices",
        "target_parameters", "use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config"})
    if (said.keys.contains(key)) return error(Code::kUnsupported, "{}: set, expected to be absent or null", key);
  // Other ways to begin change the model's own weights.
  if (const auto init = config.string("init_lora_weights"); init.ok()) {
    constexpr std::string_view kHarmless[] = {"gaussian", "orthogonal", "eva"};
    if (std::ranges::find(kHarmless, *init) == std::end(kHarmless))
      return error(Code::kUnsupported,
                   "init_lora_weights: \"{}\", expected true, false, \"gaussian\", \"orthogonal\" "
                   "or \"eva\"",
                   printable(*init, 32));
  }
  return {};
}

// rank_pattern and alpha_pattern: numbers for modules whose name ends in a key. (PEFT takes keys for regular
// expressions; plain names are what it writes.)
class Pattern {
 public:
  static Result<Pattern> read(const Config& config, const std::string& name, const std::string& plain) {
    Pattern p;
    KETTE_ASSIGN(p.plain_, config.real(plain, 0, 1e9));
    const std::string prefix = name + ".";
    for (const auto& [key, value] : config.under(prefix)) {
      const std::string module = key.substr(prefix.size());
      const auto is_plain = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
      };
      if (!std::ranges::all_of(module, is_plain))
        return error(Code::kUnsupported, "{}: {}: expected the plain name of a module", name, printable(module, 96));
      KETTE_ASSIGN(const double number, config.real(key, 0, 1e9));
      p.modules_.emplace_back(module, number);
    }
    return p;
  }

  Result<double> of(const std::string& module) const {
    std::optional<double> found;
    for (const auto& [key, number] : modules_) {
      if (module != key && !module.ends_with("." + key)) continue;
      if (found && *found != number)
        return error(Code::kUnsupported, "{}: two patterns of {} say {} and {}", kSettings, module, *found, number);
      found = number;
    }
    return found.value_or(plain_);
  }

 private:
  double plain_ = 0;
  std::vector<std::pair<std::string, double>> modules_;
};

struct Settings {
  Pattern rank, alpha;
  bool root = false;  // alpha / sqrt(r), as rank-stabilized LoRA has it

  Status set_scale(LoraPair& pair) const {
    KETTE_ASSIGN(const double r, rank.of(pair.name));
    KETTE_ASSIGN(const double a, alpha.of(pair.name));
    if (r < 1 || r > kMostRank || r != std::floor(r))
      return error(Code::kCorrupt, "{}: r: {}, expected an integer from 1 to {}", kSettings, r, kMostRank);
    if (static_cast<double>(pair.rank()) != r)
      return error(Code::kCorrupt, "{}: shape [{}], expected {} rows, as {} says", printable(pair.a.name, 96),
                   fmt::join(pair.a.shape, ", "), r, kSettings);
    pair.scale = a / (root ? std::sqrt(r) : r);
    return {};
  }
};

Result<Settings> read_settings(std::string_view json) {
  KETTE_ASSIGN(const Config config, config_from_json(json));
  KETTE_TRY(check_kind(json, config));
  Settings settings;
  KETTE_ASSIGN(settings.rank, Pattern::read(config, "rank_pattern", "r"));
  KETTE_ASSIGN(settings.alpha, Pattern::read(config, "alpha_pattern", "lora_alpha"));
  KETTE_ASSIGN(settings.root, config.boolean("use_rslora", false));
  return settings;
}

// "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight" -> "model.layers.0.mlp.up_proj" and which half.
Status add_tensor(CheckpointTensor tensor, LoraPairs& pairs) {
  constexpr std::string_view kPrefix = "base_model.model.", kA = ".lora_A.weight", kB = ".lora_B.weight";
  std::string_view name = tensor.name;
  const bool is_a = name.ends_with(kA);
  if (!name.starts_with(kPrefix) || !(is_a || name.ends_with(kB)))
    return error(Code::kUnsupported, "tensor {}: expected {}MODULE{} or {}", printable(name, 96), kPrefix, kA, kB);
  name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kA.size());
  // Adapters that were made for a model without its head lack the outermost name.
  std::string module = (name.starts_with("layers.") ? "model." : "") + std::string(name);
  return pairs.add(std::move(module), is_a ? LoraPairs::Half::kA : LoraPairs::Half::kB, std::move(tensor));
}

}  // namespace

Result<LoraFile> read_peft_lora(const OpenSibling& open, const std::string& weights,
                                std::span<const SafetensorsType> types) {
  KETTE_ASSIGN(const std::string json, read_text(open, kSettings, kMaxSettings));
  auto settings = read_settings(json);
  if (!settings.ok()) return std::move(settings).status().within(kSettings);
  const std::string name = weights.empty() ? kWeights : weights;
  KETTE_ASSIGN(std::unique_ptr<Source> source, open(name));
  if (source == nullptr) return error(Code::kHost, "{}: no file was opened", name);
  KETTE_ASSIGN(Safetensors read, Safetensors::read(*source, types));
  LoraFile file;
  LoraPairs pairs;
  for (SafetensorsTensor& t : read.tensors)
    KETTE_TRY(add_tensor({std::move(t.name), t.type, std::move(t.shape), t.bytes, source.get(), t.offset}, pairs)
                  .within(name));
  KETTE_ASSIGN(file.pairs, std::move(pairs).take());
  for (LoraPair& pair : file.pairs) KETTE_TRY(settings->set_scale(pair));
  file.files.push_back(std::move(source));
  return file;
}

}  // namespace kette
