// Weights in another format than the file's: what becomes what, and the models that come of it.
#include "models/weight_types.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "runtime/memory_plan.h"
#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

namespace {

constexpr StoredType kBf16 = {"bf16", 30, 1, 2};

std::string target(const std::string& types, const std::string& name, std::vector<uint64_t> shape, bool tied = false,
                   const StoredType& stored = kBf16) {
  const CheckpointTensor tensor{name, &stored, std::move(shape), 0, nullptr, 0};
  const Format* format = value(WeightTypes::parse(types)).target(tensor, tied);
  return format == nullptr ? "" : std::string(format->name);
}

std::string model_path(const std::string& model, const std::string& file) {
  for (const auto& root : golden_roots())
    if (std::filesystem::exists(root / "models" / model / file)) return (root / "models" / model / file).string();
  throw std::runtime_error("no golden " + model + "/" + file);
}

OpenFile files() {
  return [](const std::string& path) { return open_path(path, Access::kMap); };
}

Result<std::shared_ptr<LoadedModel>> open_as(const std::string& path, const std::string& weight_type,
                                             OpenOptions options = {}) {
  options.mode = nn::Mode::kExact;
  options.weight_type = weight_type;
  return LoadedModel::open(make_test_runtime(), files(), path, options);
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return largest;
}

const std::vector<Token> kIds = {1, 70, 33, 200, 5, 5, 9, 120};

}  // namespace

TEST_CASE("weight types: what each part becomes") {
  const std::string layer = "model.layers.3.";
  CHECK(target("q8_0", layer + "self_attn.q_proj.weight", {64, 256}) == "q8_0");
  CHECK(target("q4_k", layer + "self_attn.q_proj.weight", {64, 256}) == "q4_k");
  CHECK(target("q4_k", layer + "mlp.down_proj.weight", {64, 160}) == "q4_1");  // 256 does not divide 160
  CHECK(target("q4_k", layer + "mlp.down_proj.weight", {64, 100}) == "");
  CHECK(target("q4_0", layer + "mlp.down_proj.weight", {64, 100}) == "");
  CHECK(target("q4_0", "model.embed_tokens.weight", {300, 64}) == "q8_0");
  CHECK(target("q4_0", "lm_head.weight", {300, 64}) == "q8_0");
  for (const char* kept :
       {"input_layernorm.weight", "self_attn.q_norm.weight", "mlp.gate.weight", "mlp.shared_expert_gate.weight",
        "self_attn.q_proj.bias", "mlp.gate.e_score_correction_bias", "self_attn.q_proj.weight_scale_inv"})
    CHECK(target("q8_0", layer + kept, {64, 64}) == "");
  CHECK(target("q8_0", "model.norm.weight", {64}) == "");
  CHECK(target("q8_0", "visual.proj.weight", {64, 64}) == "");
  const std::string parts = "experts=q4_k,attention=q8_0,head=q8_0";
  CHECK(target(parts, layer + "mlp.experts.7.up_proj.weight", {64, 256}) == "q4_k");
  CHECK(target(parts, layer + "mlp.experts.up_proj.weight", {8, 64, 256}) == "q4_k");
  CHECK(target(parts, layer + "self_attn.kv_b_proj.weight", {64, 256}) == "q8_0");
  CHECK(target(parts, layer + "mlp.shared_experts.up_proj.weight", {64, 256}) == "");
  CHECK(target(parts, "model.embed_tokens.weight", {300, 64}) == "");
  CHECK(target(parts, "model.embed_tokens.weight", {300, 64}, true) == "q8_0");  // it is the head as well
  // What is as small already stays.
  CHECK(target("q8_0", layer + "mlp.up_proj.weight", {64, 64}, false, {"q4_0", 2, 32, 18}) == "");
  CHECK(target("q8_0", layer + "mlp.up_proj.weight", {64, 64}, false, {"q8_0", 8, 32, 34}) == "");
  CHECK(target("q4_0", layer + "mlp.up_proj.weight", {64, 64}, false, {"q8_0", 8, 32, 34}) == "q4_0");
  CHECK(target("", layer + "mlp.up_proj.weight", {64, 64}) == "");
  CHECK_FALSE(value(WeightTypes::parse("")).any());
}

TEST_CASE("weight types: what is refused") {
  for (const char* bad : {"q99", "Q8_0", "f32", "bf16", "q8_0,", "experts", "experts=", "experts=q3", "heads=q8_0",
                          "=q8_0", ",", "head=q8_0,head=q4_0", "head=q8_0=q8_0", "head=q8_0 ", "head=q8_0;mlp=q8_0"}) {
    CAPTURE(bad);
    CHECK(WeightTypes::parse(bad).status().code() == Code::kInvalidArgument);
  }
}

// ggml's quantiser gives the bytes that Kette's does, so a directory encoded while it opens is the model of the GGUF
// file.
TEST_CASE("weight types: a directory encoded while opening equals the file that llama.cpp's tools make") {
  for (const auto& [file, types] : {std::pair{"llama-Q8_0.gguf", "q8_0"},
                                    {"llama-Q4_0.gguf", "attention=q4_0,mlp=q4_0,embedding=q4_0,head=q4_0"}}) {
    CAPTURE(types);
    const auto stored = value(open_as(model_path("llama", std::string("gguf/") + file), ""));
    const auto encoded = value(open_as(model_path("llama", "hf"), types));
    auto a = open_session(stored), b = open_session(encoded);
    const std::vector<float> expected = eval_all(*a, kIds);
    CHECK(difference(eval_all(*b, kIds), expected) <= 2e-4);
    // From a GGUF as well, and read rather than mapped.
    OpenOptions read;
    read.map = false;
    const auto from_gguf = value(open_as(model_path("llama", "gguf/llama-F32.gguf"), types, read));
    auto c = open_session(from_gguf);
    CHECK(difference(eval_all(*c, kIds), expected) == 0.0);
  }
}

TEST_CASE("weight types: memory is planned, told, and kept to") {
  const std::string path = model_path("llama", "hf");
  const auto stored = value(open_as(path, "")), encoded = value(open_as(path, "q4_0"));
  CHECK(encoded->weight_bytes() < stored->weight_bytes() / 2);
  CHECK(*encoded->info_number("weight_bytes") == static_cast<int64_t>(encoded->weight_bytes()));
  const auto probed = nlohmann::json::parse(value(LoadedModel::probe(*make_test_runtime(), files(), path, {})));
  const auto& plans = probed.at("memory").at("weight_types");
  CHECK(plans.at("as_stored").at("weight_bytes") == stored->weight_bytes());
  CHECK(plans.at("q4_0").at("weight_bytes") == encoded->weight_bytes());
  CHECK(plans.at("q4_0").at("fits") == true);

  OpenOptions watched;
  uint64_t last = 0, whole = 0;
  size_t calls = 0;
  watched.progress = [&](uint64_t done, uint64_t total) {
    CHECK(done >= last);
    CHECK(done <= total);
    last = done;
    whole = total;
    return ++calls != 1000;
  };
  CHECK(open_as(path, "q8_0", watched).ok());
  CHECK(last == whole);
  // Stopped at any call.
  const size_t all = calls;
  for (size_t stop = 1; stop <= all; ++stop) {
    size_t n = 0;
    OpenOptions options;
    options.progress = [&](uint64_t, uint64_t) { return ++n != stop; };
    CHECK(open_as(path, "q8_0", options).status().code() == Code::kHost);
  }
  CancelFlag cancel{true};
  OpenOptions cancelled;
  cancelled.cancel = &cancel;
  CHECK(open_as(path, "q8_0", cancelled).status().code() == Code::kCancelled);
}

TEST_CASE("weight types: mixtures of experts and fp8") {
  for (const std::string model : {"qwen3moe", "dsv3_fp8"}) {
    const std::string path = model_path(model, "hf");
    CAPTURE(path);
    auto stored = open_as(path, "");
    if (stored.status().code() == Code::kUnsupported) continue;  // no model for it in models.inc
    const auto encoded = value(open_as(path, "experts=q8_0"));
    CHECK(encoded->weight_bytes() < value(std::move(stored))->weight_bytes() * (model == "dsv3_fp8" ? 2 : 1));
    auto session = open_session(encoded);
    for (const float x : eval_all(*session, kIds)) REQUIRE(std::isfinite(x));
  }
}

TEST_CASE("probe: parameters, those a token meets, and the cache") {
  const auto probe = [](const std::string& model) {
    return nlohmann::json::parse(value(LoadedModel::probe(*make_test_runtime(), files(), model_path(model, "hf"), {})));
  };
  const auto llama = probe("llama");
  CHECK(llama.at("architecture") == "LlamaForCausalLM");
  CHECK(llama.at("parameters") == 123200);
  CHECK(llama.at("active_parameters") == 123200);
  const auto moe = probe("qwen3moe");
  CHECK(moe.at("parameters") == 177600);
  CHECK(moe.at("active_parameters") < 177600);
  // A layer behind the last is not counted, nor are scales.
  const auto fp8 = probe("dsv3_fp8");
  CHECK(fp8.at("parameters") < 1631792);
  CHECK(fp8.at("kv_bytes_per_token") == 2 * (2 + 1) * (64 + 32));  // two layers and the prediction module
  CHECK(fp8.at("tensor_types").at("fp8_e4m3") > 0);
}
