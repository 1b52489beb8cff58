// Models opened as Hugging Face publishes them: every way to name one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "file/safetensors.h"
#include "support/golden.h"
#include "support/hf_files.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

namespace {

std::filesystem::path directory(const std::string& model) {
  for (const auto& root : golden_roots())
    if (std::filesystem::exists(root / "models" / model / "hf")) return root / "models" / model / "hf";
  throw std::runtime_error("no golden " + model);
}

// A host's file system: names and bytes, nothing mapped.
struct HostFiles {
  std::map<std::string, std::string> files;
  explicit HostFiles(const std::filesystem::path& dir) {
    for (const auto& entry : std::filesystem::directory_iterator(dir))
      files["pak/" + entry.path().filename().string()] = read_file(entry.path());
  }
  OpenFile open() const {
    return [this](const std::string& path) -> Result<std::unique_ptr<Source>> {
      const auto it = files.find(path);
      if (it == files.end()) return error(Code::kNotFound, "{}: not there", path);
      return open_memory(std::as_bytes(std::span(it->second.data(), it->second.size())), path);
    };
  }
};

std::vector<float> logits_of(const OpenFile& open, const std::string& path) {
  OpenOptions options;
  options.mode = nn::Mode::kExact;
  auto session = open_session(value(LoadedModel::open(make_test_runtime(), open, path, options)));
  return eval_all(*session, {1, 2, 3});
}

OpenFile disk() {
  return [](const std::string& path) { return open_path(path, Access::kMap); };
}

}  // namespace

TEST_CASE("hf model: a directory, with or without a slash, or its weights, from disk or from a host") {
  const auto dir = directory("llama");
  const std::vector<float> expected = logits_of(disk(), dir.string());
  for (const std::string& path : {dir.string() + "/", (dir / "model.safetensors").string()})
    CHECK(logits_of(disk(), path) == expected);
  const HostFiles host(dir);
  for (const std::string path : {"pak", "pak/", "pak/model.safetensors"})
    CHECK(logits_of(host.open(), path) == expected);
}

TEST_CASE("hf model: several files") {
  const HostFiles host(directory("qwen3moe"));
  CHECK(logits_of(host.open(), "pak") == logits_of(disk(), directory("qwen3moe").string()));
  CHECK(logits_of(host.open(), "pak/model.safetensors.index.json") == logits_of(host.open(), "pak"));
}

TEST_CASE("hf model: the vocabulary alone") {
  HostFiles host(directory("llama"));
  OpenOptions options;
  options.vocab_only = true;
  for (const std::string path : {"pak", "pak/model.safetensors", "pak/tokenizer.json"}) {
    CAPTURE(path);
    const auto loaded = value(LoadedModel::open(make_test_runtime(1), host.open(), path, options));
    CHECK(loaded->model() == nullptr);
    CHECK(value(loaded->tokenizer())->vocab_size() > 256);
  }
  host.files.erase("pak/tokenizer.json");
  CHECK(LoadedModel::open(make_test_runtime(1), host.open(), "pak", options).status().code() == Code::kNotFound);
}

TEST_CASE("hf model: generation_config.json says where answers end and how to sample") {
  HostFiles host(directory("llama"));
  host.files["pak/generation_config.json"] = R"({"eos_token_id": [7, 9], "temperature": 0.5, "top_k": 3})";
  const auto loaded = value(LoadedModel::open(make_test_runtime(1), host.open(), "pak", {}));
  const auto ends = loaded->ends();
  for (const Token token : {7, 9}) CHECK(std::ranges::find(ends, token) != ends.end());
  CHECK(loaded->info_json().find("\"temperature\":0.5") != std::string::npos);
}

TEST_CASE("hf model: what is refused") {
  const auto refused = [](const HostFiles& host, const std::string& path, Code code, std::string_view text) {
    const Status status = LoadedModel::open(make_test_runtime(1), host.open(), path, {}).status();
    CAPTURE(status.message());
    CHECK(status.code() == code);
    CHECK(status.message().find(text) != std::string::npos);
  };
  const HostFiles whole(directory("llama"));
  refused(whole, "nowhere", Code::kNotFound, "nowhere");
  refused(whole, "pak/config.json", Code::kFormat, "not a GGUF file");
  HostFiles host = whole;
  host.files["pak/tokenizer.json"] = "{";
  refused(host, "pak", Code::kFormat, "tokenizer.json");
  host = whole;
  host.files.erase("pak/model.safetensors");
  refused(host, "pak", Code::kNotFound, "no weights");
  host = whole;
  host.files["pak/config.json"] = R"({"architectures": ["MambaForCausalLM"]})";
  refused(host, "pak", Code::kUnsupported, "MambaForCausalLM");
}

// The llama golden in fp8, and the same numbers as f32: one model in two forms.
TEST_CASE("hf model: fp8 weights with a scale for each tile") {
  HostFiles fp8(directory("llama")), plain = fp8;
  const std::string file = fp8.files["pak/model.safetensors"];
  const auto source = open_memory(std::as_bytes(std::span(file.data(), file.size())), "model");
  const Safetensors read = value(Safetensors::read(*source, safetensors_types()));
  const Format &narrow = *find_format("fp8_e4m3"), &wide = *find_format("f32");
  SafetensorsWriter fp8_file, plain_file, scaleless_file;
  for (const SafetensorsTensor& t : read.tensors) {
    const auto* bytes = reinterpret_cast<const std::byte*>(file.data()) + t.offset;
    const size_t cols = t.shape.back(), rows = t.shape.size() == 2 ? t.shape[0] : 1;
    std::vector<float> numbers(rows * cols);
    find_format(t.type->name)->decode(bytes, numbers.data(), numbers.size());
    if (t.name.find("_proj") == std::string::npos) {
      for (SafetensorsWriter* w : {&fp8_file, &plain_file, &scaleless_file})
        w->tensor(t.name, find_format(t.type->name)->safetensors, t.shape, file.substr(t.offset, t.bytes));
      continue;
    }
    const size_t tile_rows = (rows + 127) / 128, tile_cols = (cols + 127) / 128;
    std::vector<float> scales(tile_rows * tile_cols);
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.001f * static_cast<float>(i + 1);
    std::string codes(numbers.size(), '\0'), floats(numbers.size() * 4, '\0');
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < cols; ++c) {
        const float scale = scales[r / 128 * tile_cols + c / 128];
        const size_t i = r * cols + c;
        const float scaled = numbers[i] / scale;
        float decoded = 0;
        narrow.encode(&scaled, reinterpret_cast<std::byte*>(&codes[i]), 1);
        narrow.decode(reinterpret_cast<std::byte*>(&codes[i]), &decoded, 1);
        decoded *= scale;
        wide.encode(&decoded, reinterpret_cast<std::byte*>(&floats[4 * i]), 1);
      }
    fp8_file.tensor(t.name, "F8_E4M3", t.shape, codes);
    scaleless_file.tensor(t.name, "F8_E4M3", t.shape, codes);
    fp8_file.tensor(t.name + "_scale_inv", "F32", {tile_rows, tile_cols},
                    {reinterpret_cast<char*>(scales.data()), scales.size() * 4});
    plain_file.tensor(t.name, "F32", t.shape, floats);
  }
  fp8.files["pak/model.safetensors"] = fp8_file.finish();
  plain.files["pak/model.safetensors"] = plain_file.finish();
  CHECK(logits_of(fp8.open(), "pak") == logits_of(plain.open(), "pak"));  // exact: the same floats in the same order
  // The dot kernel of fp8 against that of f32.
  for (const nn::Mode mode : {nn::Mode::kDeterministic, nn::Mode::kFast}) {
    OpenOptions options;
    options.mode = mode;
    auto a = open_session(value(LoadedModel::open(make_test_runtime(), fp8.open(), "pak", options)));
    auto b = open_session(value(LoadedModel::open(make_test_runtime(), plain.open(), "pak", options)));
    const auto x = eval_all(*a, {1, 2, 3}), y = eval_all(*b, {1, 2, 3});
    double largest = 0;
    for (size_t i = 0; i < x.size(); ++i)
      largest = std::max(largest, std::fabs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
    CHECK(largest < 2e-2);  // the caches are halves: a last bit may fall either way
  }
  // Without their scales the numbers say nothing; they are not guessed at.
  fp8.files["pak/model.safetensors"] = scaleless_file.finish();
  const Status status = LoadedModel::open(make_test_runtime(1), fp8.open(), "pak", {}).status();
  CHECK(status.code() == Code::kCorrupt);
  CHECK(status.message().find("q_proj.weight_scale_inv: missing") != std::string::npos);
}
