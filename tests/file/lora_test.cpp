// LoRA adapters from PEFT directories and GGUF files: names, scales, and what is refused by name.
#include "file/lora.h"

#include <doctest/doctest.h>

#include "support/hf_files.h"

using namespace kette;
using namespace kette::test;

namespace {

constexpr std::string_view kQ = "base_model.model.model.layers.0.self_attn.q_proj";

std::string floats(size_t n) { return std::string(n * 4, '\0'); }

// q_proj [6, 8] of rank 2 and up_proj [10, 8] of rank 3.
SafetensorsWriter peft_tensors() {
  SafetensorsWriter w;
  w.tensor(fmt::format("{}.lora_A.weight", kQ), "F32", {2, 8}, floats(16));
  w.tensor(fmt::format("{}.lora_B.weight", kQ), "F32", {6, 2}, floats(12));
  w.tensor("base_model.model.layers.1.mlp.up_proj.lora_B.weight", "F16", {10, 3}, floats(15));
  w.tensor("base_model.model.layers.1.mlp.up_proj.lora_A.weight", "F16", {3, 8}, floats(12));
  return w;
}

Directory peft(const std::string& settings, const SafetensorsWriter& tensors = peft_tensors()) {
  Directory d;
  d.files["adapter_config.json"] = "{" + settings + "}";
  d.files["adapter_model.safetensors"] = tensors.finish();
  return d;
}

const std::string kPlain = R"("r": 2, "lora_alpha": 8, "rank_pattern": {"up_proj": 3})";

LoraFile read(Directory d) {
  auto file = read_peft_lora(d.open(), "", kTestDtypes);
  REQUIRE_MESSAGE(file.ok(), file.status().message());
  return std::move(*file);
}

void check_refused(const Status& status, Code code, std::string_view text) {
  CAPTURE(status.message());
  CHECK(status.code() == code);
  CHECK(status.message().find(text) != std::string::npos);
}

void check_refused(const std::string& settings, Code code, std::string_view text,
                   const SafetensorsWriter& tensors = peft_tensors()) {
  Directory d = peft(settings, tensors);
  check_refused(read_peft_lora(d.open(), "", kTestDtypes).status(), code, text);
}

GgufWriter gguf_lora(std::string_view architecture = "llama") {
  GgufWriter w;
  w.set("general.type", "adapter").set("adapter.type", "lora").set("general.architecture", architecture);
  w.set("adapter.lora.alpha", 8.0f);
  return w;
}

Result<LoraFile> read(const GgufWriter& w) {
  auto gguf = open_gguf(w.finish());
  if (!gguf.ok()) return std::move(gguf).status();
  return read_gguf_lora(std::move(*gguf));
}

}  // namespace

TEST_CASE("lora: a PEFT directory") {
  const LoraFile file = read(peft(kPlain + R"(, "modules_to_save": null, "use_dora": false, "bias": "none",
    "layer_replication": [], "loftq_config": {}, "target_modules": ["q_proj"], "init_lora_weights": true)"));
  REQUIRE(file.pairs.size() == 2);
  CHECK(file.architecture.empty());
  CHECK(file.pairs[0].name == "model.layers.0.self_attn.q_proj");
  CHECK(file.pairs[0].rank() == 2);
  CHECK(file.pairs[0].scale == 4);
  CHECK(file.pairs[0].b.shape == std::vector<uint64_t>{6, 2});
  CHECK(file.pairs[1].name == "model.layers.1.mlp.up_proj");  // without its outermost name in the file
  CHECK(file.pairs[1].scale == doctest::Approx(8.0 / 3));
}

TEST_CASE("lora: scales by pattern and by the root of the rank") {
  const LoraFile file = read(peft(kPlain + R"(, "use_rslora": true, "alpha_pattern":
    {"layers.0.self_attn.q_proj": 5, "proj": 100, "0.self_attn.q_proj": 5})"));
  CHECK(file.pairs[0].scale == doctest::Approx(5 / std::sqrt(2.0)));
  CHECK(file.pairs[1].scale == doctest::Approx(8 / std::sqrt(3.0)));  // "proj" is not the end of a dotted name
  check_refused(kPlain + R"(, "alpha_pattern": {"q_proj": 5, "self_attn.q_proj": 6})", Code::kUnsupported, "two");
  check_refused(kPlain + R"(, "alpha_pattern": {"^.*q_proj": 5})", Code::kUnsupported, "^.*q_proj");
}

TEST_CASE("lora: what PEFT adapters may have beside low-rank pairs is refused by name") {
  for (const std::string setting :
       {R"("use_dora": true)", R"("modules_to_save": ["lm_head"])", R"("fan_in_fan_out": true)",
        R"("layer_replication": [[0, 4], [2, 5]])", R"("lora_bias": true)", R"("target_parameters": ["x"])",
        R"("trainable_token_indices": {"embed_tokens": [1]})", R"("bias": "all")", R"("peft_type": "IA3")",
        R"("init_lora_weights": "pissa_niter_4")"})
    check_refused(kPlain + ", " + setting, Code::kUnsupported, setting.substr(1, setting.find(':') - 2));
  for (const std::string name :
       {"base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector", "lora_A.weight",
        "model.layers.0.mlp.up_proj.lora_A.weight"})
    check_refused(kPlain, Code::kUnsupported, name, peft_tensors().tensor(name, "F32", {1, 1}, floats(1)));
}

TEST_CASE("lora: a PEFT directory that contradicts itself") {
  check_refused(R"("r": 2, "lora_alpha": 8)", Code::kCorrupt, "up_proj.lora_A.weight: shape [3, 8], expected 2 rows");
  check_refused(R"("lora_alpha": 8)", Code::kCorrupt, "r:");
  check_refused(R"("r": 2)", Code::kCorrupt, "lora_alpha");
  check_refused(R"("r": 0.5, "lora_alpha": 8)", Code::kCorrupt, "r: 0.5");
  check_refused(R"("r": 2, )", Code::kFormat, "adapter_config.json");
  check_refused(kPlain, Code::kCorrupt, "o_proj.lora_B.weight: without",
                peft_tensors().tensor("base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight", "F32", {8, 2},
                                      floats(16)));
  check_refused(kPlain, Code::kCorrupt, "expected a matrix",
                peft_tensors().tensor("base_model.model.a.lora_A.weight", "F32", {8}, floats(8)));
  check_refused(
      kPlain, Code::kCorrupt, "means the same",
      peft_tensors().tensor("base_model.model.model.layers.1.mlp.up_proj.lora_A.weight", "F32", {3, 8}, floats(24)));
  check_refused(kPlain, Code::kCorrupt, "expected [rank, in] and [out, rank]",
                peft_tensors()
                    .tensor("base_model.model.a.lora_A.weight", "F32", {2, 8}, floats(16))
                    .tensor("base_model.model.a.lora_B.weight", "F32", {2, 8}, floats(16)));
  check_refused(kPlain, Code::kCorrupt, "no low-rank pairs", SafetensorsWriter());
  Directory d = peft(kPlain);
  d.files.erase("adapter_config.json");
  check_refused(read_peft_lora(d.open(), "", kTestDtypes).status(), Code::kNotFound, "adapter_config.json");
  d = peft(kPlain);
  check_refused(read_peft_lora(d.open(), "other.safetensors", kTestDtypes).status(), Code::kNotFound, "other");
}

TEST_CASE("lora: a GGUF adapter, with experts one by one") {
  auto w = gguf_lora();
  w.tensor("blk.0.attn_q.weight.lora_a", {2, 8}, 0, floats(16))
      .tensor("blk.0.attn_q.weight.lora_b", {6, 2}, 0, floats(12));
  w.tensor("output.weight.lora_b", {6, 4}, 1, floats(12)).tensor("output.weight.lora_a", {4, 8}, 1, floats(16));
  const auto file = read(w);
  REQUIRE_MESSAGE(file.ok(), file.status().message());
  CHECK(file->architecture == "LlamaForCausalLM");
  REQUIRE(file->pairs.size() == 2);
  CHECK(file->pairs[0].name == "lm_head");
  CHECK(file->pairs[0].scale == 2);
  CHECK_FALSE(file->pairs[0].b.rows_interleaved_rope);
  CHECK(file->pairs[1].name == "model.layers.0.self_attn.q_proj");
  CHECK(file->pairs[1].scale == 4);
  CHECK(file->pairs[1].b.rows_interleaved_rope);

  auto experts = gguf_lora("qwen3moe").set("adapter.lora.alpha.", 1);
  experts.tensor("blk.2.ffn_up_exps.weight.lora_a", {3, 2, 8}, 0, floats(48));
  experts.tensor("blk.2.ffn_up_exps.weight.lora_b", {3, 6, 2}, 0, floats(36));
  const auto stacked = read(experts);
  REQUIRE_MESSAGE(stacked.ok(), stacked.status().message());
  REQUIRE(stacked->pairs.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    const LoraPair& pair = stacked->pairs[i];
    CHECK(pair.name == fmt::format("model.layers.2.mlp.experts.{}.up_proj", i));
    CHECK(pair.a.shape == std::vector<uint64_t>{2, 8});
    CHECK(pair.a.bytes == 64);
    CHECK(pair.b.offset == stacked->pairs[0].b.offset + i * 48);
  }
}

TEST_CASE("lora: GGUF files that are no adapters Kette knows") {
  const auto pair = [](GgufWriter w) {
    return w.tensor("output.weight.lora_a", {2, 8}, 0, floats(16))
        .tensor("output.weight.lora_b", {6, 2}, 0, floats(12));
  };
  REQUIRE(read(pair(gguf_lora())).ok());
  GgufWriter model;
  model.set("general.type", "model").set("general.architecture", "llama");
  check_refused(read(pair(model)).status(), Code::kUnsupported, "general.type: \"model\", expected \"adapter\"");
  GgufWriter control;
  control.set("general.type", "adapter").set("adapter.type", "control_vector");
  check_refused(read(pair(control)).status(), Code::kUnsupported, "control_vector");
  check_refused(read(pair(gguf_lora("mamba"))).status(), Code::kUnsupported, "mamba");
  GgufWriter alpha;
  alpha.set("general.type", "adapter").set("adapter.type", "lora").set("general.architecture", "llama");
  check_refused(read(pair(alpha)).status(), Code::kCorrupt, "adapter.lora.alpha");
  alpha.set("adapter.lora.alpha", std::numeric_limits<float>::quiet_NaN());
  check_refused(read(pair(alpha)).status(), Code::kCorrupt, "adapter.lora.alpha");
  GgufWriter zero;
  zero.set("general.type", "adapter").set("adapter.type", "lora").set("general.architecture", "llama");
  zero.set("adapter.lora.alpha", 0.0f);
  CHECK(read(pair(zero))->pairs[0].scale == 1);
  auto norm = pair(gguf_lora());
  norm.tensor("blk.0.attn_norm.weight", {8}, 0, floats(8));
  check_refused(read(norm).status(), Code::kUnsupported, "blk.0.attn_norm.weight");
  auto lone = pair(gguf_lora());
  lone.tensor("blk.0.attn_q.weight.lora_a", {2, 8}, 0, floats(16));
  check_refused(read(lone).status(), Code::kCorrupt, "attn_q.weight.lora_a: without its other half");
}
