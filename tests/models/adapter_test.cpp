// Adapters of the golden models: exact mode agrees with transformers and the adapter merged into the weights.
#include "runtime/adapter.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "file/safetensors.h"
#include "support/golden.h"
#include "support/hf_files.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;
namespace fs = std::filesystem;

namespace {

const fs::path kAdapters = fs::path(KETTE_GOLDEN_DIR) / "adapters";

OpenFile disk() {
  return [](const std::string& path) { return open_path(path, Access::kMap); };
}

std::shared_ptr<const Adapter> open_adapter(std::shared_ptr<const LoadedModel> loaded, const fs::path& path) {
  return value(Adapter::open(std::move(loaded), disk(), path.string(), nullptr));
}

fs::path model_path(const std::string& model, const std::string& file = "hf") {
  return fs::path(KETTE_GOLDEN_DIR) / "models" / model / file;
}

std::vector<Token> prompt(const std::string& model, size_t i) {
  return nlohmann::json::parse(read_file(model_path(model, "golden.json"))).at("prompts").at(i).at("ids");
}

// The rows that the goldens have: the last of each prompt.
std::vector<float> golden_rows(Session& session, const nlohmann::json& prompts, const std::string& model) {
  std::vector<float> rows;
  for (const auto& p : prompts) {
    ok(session.rewind(0));
    const auto all = eval_all(session, prompt(model, p.at("prompt")));
    const size_t n = p.at("last").get<size_t>() * session.loaded().model()->shape().vocab_size;
    rows.insert(rows.end(), all.end() - static_cast<ptrdiff_t>(n), all.end());
  }
  return rows;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}

const nlohmann::json& index() {
  static const auto json = nlohmann::json::parse(read_file(kAdapters / "adapters.json"));
  return json;
}

void attach(Session& session, const std::shared_ptr<LoadedModel>& loaded, const nlohmann::json& adapters) {
  for (const auto& a : adapters)
    ok(session.set_adapter(open_adapter(loaded, kAdapters / a.at("folder").get<std::string>()), a.at("scale")));
}

// Files in memory, those of a directory of the disk to begin with.
struct Files {
  std::map<std::string, std::string> files;
  explicit Files(const fs::path& directory) {
    for (const auto& entry : fs::directory_iterator(directory))
      files["in/" + entry.path().filename().string()] = read_file(entry.path());
  }
  OpenFile open() const {
    return [this](const std::string& path) -> Result<std::unique_ptr<Source>> {
      const auto it = files.find(path);
      if (it == files.end()) return error(Code::kNotFound, "{}: not there", path);
      return open_memory(std::as_bytes(std::span(it->second.data(), it->second.size())), path);
    };
  }
};

// q_proj of layer 0 and rank 1, but for what a test changes.
Files one_pair(std::string module, std::vector<uint64_t> a, std::vector<uint64_t> b, std::string type = "F32",
               std::string bytes = "") {
  Files files(kAdapters / "llama_second");
  const auto fill = [&](const std::vector<uint64_t>& shape) {
    return bytes.empty() ? std::string(shape[0] * shape[1] * 4, '\0') : bytes;
  };
  files.files["in/adapter_model.safetensors"] =
      SafetensorsWriter()
          .tensor("base_model.model." + module + ".lora_A.weight", type, a, fill(a))
          .tensor("base_model.model." + module + ".lora_B.weight", "F32", b, std::string(b[0] * b[1] * 4, '\0'))
          .finish();
  files.files["in/adapter_config.json"] = R"({"r": 1, "lora_alpha": 1})";
  return files;
}

}  // namespace

TEST_CASE("exact mode with adapters agrees with merged weights, and detached no bit is different") {
  for (const auto& golden : index().at("cases")) {
    const std::string model = golden.at("model");
    CAPTURE(golden.dump());
    const auto loaded = open_model(model_path(model).string(), nn::Mode::kExact);
    const auto session = open_session(loaded);
    const auto before = golden_rows(*session, index().at("prompts"), model);
    attach(*session, loaded, golden.at("adapters"));
    const auto expected = load_npy(kAdapters / golden.at("logits").get<std::string>()).floats();
    const auto with = golden_rows(*session, index().at("prompts"), model);
    const double largest = largest_difference(with, expected);
    CHECK(largest <= 2e-3);
    CHECK(largest_difference(before, expected) > 1);
    MESSAGE(golden.at("logits").get<std::string>(), ": largest difference ", largest);
    ok(session->clear_adapters());
    CHECK(golden_rows(*session, index().at("prompts"), model) == before);
    for (const auto& a : golden.at("adapters"))
      ok(session->set_adapter(open_adapter(loaded, kAdapters / a.at("folder").get<std::string>()), a.at("scale")));
    CHECK(golden_rows(*session, index().at("prompts"), model) == with);
  }
}

// The same numbers whatever files they come in: bits, for the same floats are added in the same order.
TEST_CASE("a PEFT and a GGUF adapter on a directory and on a GGUF come to the same") {
  const auto expected = load_npy(kAdapters / "llama_second.logits.npy").floats();
  for (const std::string file : {"hf", "gguf/llama-F32.gguf"}) {
    const auto loaded = open_model(model_path("llama", file).string(), nn::Mode::kExact);
    std::vector<std::vector<float>> rows;
    std::vector<std::string> keys;
    for (const char* adapter :
         {"llama_second", "llama_second/", "llama_second/adapter_model.safetensors", "llama_second.gguf"}) {
      CAPTURE(file);
      CAPTURE(adapter);
      const auto session = open_session(loaded);
      const auto opened = open_adapter(loaded, (kAdapters / "x").parent_path().string() + "/" + adapter);
      ok(session->set_adapter(opened, 1));
      rows.push_back(golden_rows(*session, index().at("prompts"), "llama"));
      keys.push_back(opened->key());
      CHECK(largest_difference(rows.back(), expected) <= 2e-3);
      CHECK(rows.back() == rows.front());
      CHECK(keys.back() == keys.front());
    }
  }
}

TEST_CASE("fast and deterministic modes with adapters: threads, cuts, stacked experts") {
  for (const auto& golden : index().at("cases")) {
    const std::string model = golden.at("model");
    CAPTURE(golden.dump());
    const auto ids = prompt(model, 2);
    std::vector<std::string> files{"hf", "gguf/" + model + "-Q8_0.gguf"};  // the latter has experts stacked
    for (const std::string& file : files)
      for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kDeterministic}) {
        std::vector<float> first;
        for (const uint32_t n_threads : {1u, 2u, 3u}) {
          const auto loaded = open_model(model_path(model, file).string(), mode, n_threads);
          const auto session = open_session(loaded);
          const auto before = eval_all(*session, ids);
          attach(*session, loaded, golden.at("adapters"));
          CHECK(session->length() == 0);
          const auto with = eval_all(*session, ids);
          if (first.empty()) first = with;
          CHECK(with == first);
          CHECK(largest_difference(before, with) > 1);
          ok(session->rewind(0));
          if (mode == nn::Mode::kDeterministic) CHECK(eval_all(*session, ids, 1) == with);
          ok(session->clear_adapters());
          CHECK(eval_all(*session, ids) == before);
        }
      }
  }
}

TEST_CASE("adapters that do not fit the model are refused with tensor, expected and found") {
  const auto llama = open_model(model_path("llama").string(), nn::Mode::kExact, 1);
  const auto refused = [&](const std::shared_ptr<LoadedModel>& loaded, const Files& files, Code code,
                           std::string_view text) {
    const Status status = Adapter::open(loaded, files.open(), "in", nullptr).status();
    CAPTURE(status.message());
    CHECK(status.code() == code);
    CHECK(status.message().find(text) != std::string::npos);
  };
  const std::string q = "model.layers.0.self_attn.q_proj";
  CHECK(Adapter::open(llama, one_pair(q, {1, 64}, {64, 1}).open(), "in", nullptr).ok());
  refused(llama, one_pair(q, {1, 65}, {64, 1}), Code::kCorrupt,
          "q_proj.lora_A.weight: shape [1, 65], expected 64 columns");
  refused(llama, one_pair(q, {1, 64}, {32, 1}), Code::kCorrupt,
          "q_proj.lora_B.weight: shape [32, 1], expected 64 rows");
  refused(llama, one_pair(q, {1, 64}, {64, 1}, "F64", std::string(512, '\0')), Code::kUnsupported, "stored as f64");
  const std::string infinite(256, '\x7f');  // 3.4e38, and with the bits of the last an infinity
  std::string numbers = infinite;
  numbers.replace(252, 4, std::string("\x00\x00\x80\x7f", 4));
  refused(llama, one_pair(q, {1, 64}, {64, 1}, "F32", numbers), Code::kCorrupt, "not finite");
  for (const std::string module : {"model.layers.2.self_attn.q_proj", "model.embed_tokens", "model.norm", "q_proj"})
    refused(llama, one_pair(module, {1, 64}, {64, 1}), Code::kUnsupported, module);
  // A tied head is the embedding too; kv_b_proj is split among the heads.
  refused(open_model(model_path("qwen2").string(), nn::Mode::kExact, 1), one_pair("lm_head", {1, 64}, {320, 1}),
          Code::kUnsupported, "lm_head");
  const auto deepseek = open_model(model_path("dsv3_fp8").string(), nn::Mode::kExact, 1);
  refused(deepseek, one_pair("model.layers.0.self_attn.kv_b_proj", {1, 64}, {64, 1}), Code::kUnsupported, "kv_b_proj");
  const size_t layers = deepseek->model()->shape().num_hidden_layers;
  refused(deepseek, one_pair(fmt::format("model.layers.{}.self_attn.o_proj", layers), {1, 64}, {64, 1}),
          Code::kUnsupported, "o_proj");  // of the prediction module
  // Another architecture, whatever its shapes.
  const Status status = Adapter::open(open_model(model_path("qwen3").string(), nn::Mode::kExact, 1), disk(),
                                      (kAdapters / "llama_second.gguf").string(), nullptr)
                            .status();
  CHECK(status.code() == Code::kUnsupported);
  CHECK(status.message().find("made for LlamaForCausalLM, the model is Qwen3ForCausalLM") != std::string::npos);
  CHECK(Adapter::open(llama, disk(), (kAdapters / "nowhere").string(), nullptr).status().code() == Code::kNotFound);
  CHECK(Adapter::open(llama, disk(), (kAdapters / "make.py").string(), nullptr).status().code() == Code::kFormat);
  const CancelFlag cancel(true);
  CHECK(Adapter::open(llama, disk(), (kAdapters / "llama").string(), &cancel).status().code() == Code::kCancelled);
}

// DeepSeek: latent attention and experts of its own; a random adapter against the merged weights is what llama's and
// qwen's goldens check, here that every matrix that can have one is reached.
TEST_CASE("an adapter on every matrix that can have one changes the logits") {
  for (const std::string model : {"dsv3_fp8", "qwen3moe", "llama"}) {
    CAPTURE(model);
    const auto loaded = open_model(model_path(model).string(), nn::Mode::kExact);
    const auto ids = prompt(model, 1);
    const auto session = open_session(loaded);
    const auto before = eval_all(*session, ids);
    for (const NamedMatrix& m : loaded->model()->matrices()) {
      if (m.name.find(".experts.") != std::string::npos && m.name.find(".experts.1.") == std::string::npos) continue;
      CAPTURE(m.name);
      Files files(kAdapters / "llama_second");
      std::vector<float> a(m.in), b(m.out);
      for (size_t i = 0; i < m.in; ++i) a[i] = 0.1f * static_cast<float>(i % 7) - 0.3f;
      for (size_t i = 0; i < m.out; ++i) b[i] = 0.5f - 0.1f * static_cast<float>(i % 5);
      const auto bytes = [](const std::vector<float>& v) {
        return std::string(reinterpret_cast<const char*>(v.data()), v.size() * 4);
      };
      files.files["in/adapter_model.safetensors"] =
          SafetensorsWriter()
              .tensor("base_model.model." + m.name + ".lora_A.weight", "F32", {1, m.in}, bytes(a))
              .tensor("base_model.model." + m.name + ".lora_B.weight", "F32", {m.out, 1}, bytes(b))
              .finish();
      files.files["in/adapter_config.json"] = R"({"r": 1, "lora_alpha": 1})";
      ok(session->set_adapter(value(Adapter::open(loaded, files.open(), "in", nullptr)), 1));
      // An expert, and the router's choice of it, may not be among those that these tokens go to.
      if (m.name.find(".experts.") == std::string::npos) CHECK(eval_all(*session, ids) != before);
      ok(session->clear_adapters());
    }
    CHECK(eval_all(*session, ids) == before);
  }
}
