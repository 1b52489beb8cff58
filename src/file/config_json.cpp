#include "file/config_json.h"

#include "file/json_events.h"
#include "file/printable.h"

namespace kette {
namespace {

class Flattener final : public JsonEvents {
 public:
  Config config;

  Status begin(bool object) override {
    if (in_list_) {  // nested lists and lists of objects
      ++nested_;
      mixed_ = true;
    } else if (object) {
      prefixes_.push_back(path_.size());
    } else {
      in_list_ = true;
      mixed_ = false;
      list_.clear();
    }
    return {};
  }

  Status end() override {
    if (nested_ > 0) {
      --nested_;
    } else if (in_list_) {
      in_list_ = false;
      if (!mixed_) set_list();
    } else {
      prefixes_.pop_back();
    }
    return {};
  }

  Status key(std::string name) override {
    if (in_list_) return {};
    path_.resize(prefixes_.back());
    if (!path_.empty()) path_ += '.';
    path_ += name;
    return {};
  }

  Status value(JsonScalar v) override {
    if (in_list_) {
      if (!mixed_) list_.push_back(std::move(v));
    } else if (auto* b = std::get_if<bool>(&v)) {
      config.set(path_, *b);
    } else if (auto* n = std::get_if<int64_t>(&v)) {
      config.set(path_, *n);
    } else if (auto* d = std::get_if<double>(&v)) {
      config.set(path_, *d);
    } else if (auto* s = std::get_if<std::string>(&v)) {
      config.set(path_, std::move(*s));
    }
    return {};
  }

 private:
  template <class T>
  bool all() const {
    for (const JsonScalar& v : list_)
      if (!std::holds_alternative<T>(v)) return false;
    return true;
  }
  void set_list() {
    if (all<int64_t>()) {
      set_list_of<int64_t>([](JsonScalar& v) { return std::get<int64_t>(v); });
    } else if (all<std::string>()) {
      set_list_of<std::string>([](JsonScalar& v) { return std::get<std::string>(std::move(v)); });
    } else {
      for (const JsonScalar& v : list_)
        if (!std::holds_alternative<int64_t>(v) && !std::holds_alternative<double>(v)) return;
      set_list_of<double>([](JsonScalar& v) {
        const auto* n = std::get_if<int64_t>(&v);
        return n != nullptr ? static_cast<double>(*n) : std::get<double>(v);
      });
    }
  }
  template <class T, class Convert>
  void set_list_of(Convert convert) {
    std::vector<T> out;
    for (JsonScalar& v : list_) out.push_back(convert(v));
    config.set(path_, std::move(out));
  }

  std::string path_;              // of the value under way
  std::vector<size_t> prefixes_;  // length of the path of each object that is open
  std::vector<JsonScalar> list_;
  bool in_list_ = false, mixed_ = false;
  size_t nested_ = 0;  // containers open inside the list
};

// transformers 5 -> 4: one object has all of the rotary embedding.
Status unify_rope(Config& config) {
  constexpr std::string_view kPrefix = "rope_parameters.";
  for (const auto& [key, value] : config.under(kPrefix)) {
    const std::string name = key.substr(kPrefix.size());
    if (name.find('.') != std::string::npos) {
      return error(Code::kUnsupported, "{}: rotary settings by kind of layer", printable(key));
    }
    const bool outside = name == "rope_theta" || name == "partial_rotary_factor";
    config.set(outside ? name : "rope_scaling." + name, value);
  }
  if (!config.has("rope_scaling.rope_type") && config.has("rope_scaling.type")) {
    KETTE_ASSIGN(std::string type, config.string("rope_scaling.type"));
    config.set("rope_scaling.rope_type", std::move(type));
  }
  return {};
}

// Of the quantized checkpoints that transformers loads, Kette reads FP8 with a scale for each tile of 128 x 128.
Status check_quantization(const Config& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    const std::string prefix = std::string(key) + ".";
    if (config.under(prefix).empty()) continue;
    const auto text = [&](const char* name, const char* fallback) -> Result<std::string> {
      return config.string(prefix + name, std::string(fallback));
    };
    KETTE_ASSIGN(const std::string method, text("quant_method", ""));
    if (method != "fp8") {
      return error(Code::kUnsupported, "{}quant_method: \"{}\", expected \"fp8\"", prefix, printable(method, 32));
    }
    KETTE_ASSIGN(const std::string format, text("fmt", "e4m3"));
    if (format != "e4m3") {
      return error(Code::kUnsupported, "{}fmt: \"{}\", expected \"e4m3\"", prefix, printable(format, 32));
    }
    // "static" comes with a scale of the activations for each weight.
    KETTE_ASSIGN(const std::string scheme, text("activation_scheme", "dynamic"));
    if (scheme != "dynamic") {
      return error(Code::kUnsupported, "{}activation_scheme: \"{}\", expected \"dynamic\"", prefix,
                   printable(scheme, 32));
    }
    KETTE_ASSIGN(const std::vector<int64_t> tile, config.integers(prefix + "weight_block_size"));
    if (tile != std::vector<int64_t>{128, 128}) {
      return error(Code::kUnsupported, "{}weight_block_size: [{}], expected [128, 128]", prefix, fmt::join(tile, ", "));
    }
  }
  return {};
}

}  // namespace

Result<Config> config_from_json(std::string_view json) {
  Flattener flattener;
  KETTE_TRY(read_json(json, flattener));
  return std::move(flattener.config);
}

Result<Config> model_config_from_json(std::string_view json) {
  KETTE_ASSIGN(Config config, config_from_json(json));
  KETTE_TRY(unify_rope(config));
  if (!config.has("torch_dtype") && config.has("dtype")) {
    KETTE_ASSIGN(std::string dtype, config.string("dtype"));
    config.set("torch_dtype", std::move(dtype));
  }
  KETTE_TRY(check_quantization(config));
  return config;
}

}  // namespace kette
