// GGUF files under the names of a Hugging Face checkpoint.
#include "file/checkpoint.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "file/gguf_names.h"
#include "support/gguf_writer.h"
#include "support/golden.h"

using namespace kette;
using namespace kette::test;

namespace {

GgufWriter llama() {
  GgufWriter w;
  w.set("general.architecture", "llama").set<uint32_t>("llama.embedding_length", 64);
  w.set<uint32_t>("llama.block_count", 1).set<uint32_t>("llama.attention.head_count", 4);
  w.tensor("token_embd.weight", {5, 64}, 1, std::string(640, 'e'));
  return w;
}

Result<Checkpoint> open_checkpoint(const std::string& file) {
  auto gguf = open_gguf(file);
  REQUIRE_MESSAGE(gguf.ok(), gguf.status().message());
  return Checkpoint::from_gguf(std::move(*gguf));
}

void check_refused(const GgufWriter& w, Code code, std::string_view text) {
  const auto c = open_checkpoint(w.finish());
  CAPTURE(c.status().message());
  CHECK(c.status().code() == code);
  CHECK(c.status().message().find(text) != std::string::npos);
  CHECK(c.status().message().starts_with("test.gguf: "));
}

Config config_of(const GgufWriter& w) {
  const auto c = open_checkpoint(w.finish());
  REQUIRE_MESSAGE(c.ok(), c.status().message());
  return c->config();
}

void check_golden_config(const Checkpoint& c, const nlohmann::json& hf) {
  CHECK(c.architecture() == hf["architectures"][0]);
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                          "intermediate_size", "vocab_size", "max_position_embeddings", "eos_token_id"}) {
    CAPTURE(key);
    const auto value = c.config().integer(key, 0, INT32_MAX);
    REQUIRE_MESSAGE(value.ok(), value.status().message());
    CHECK(*value == hf[key].get<int64_t>());
  }
  const int64_t heads = hf["num_attention_heads"], hidden = hf["hidden_size"];
  CHECK(*c.config().integer("head_dim", 1, 1024) == hf.value("head_dim", hidden / heads));
  CHECK(*c.config().real("rms_norm_eps", 0, 1) == doctest::Approx(hf["rms_norm_eps"].get<double>()));
  CHECK(*c.config().real("rope_theta", 0, 1e9) == hf["rope_theta"].get<double>());
  CHECK(*c.config().boolean("tie_word_embeddings") == hf["tie_word_embeddings"].get<bool>());
  CHECK(*c.config().boolean("attention_bias") == (hf["model_type"] == "qwen2"));
  CHECK_FALSE(c.config().has("partial_rotary_factor"));
  CHECK_FALSE(c.config().has("rope_scaling.rope_type"));  // llama3 scaling is a tensor
}

void check_golden_tensors(const Checkpoint& c, const std::string& safetensors, bool interleaved) {
  uint64_t header_size = 0;
  std::memcpy(&header_size, safetensors.data(), 8);
  const auto header = nlohmann::json::parse(safetensors.substr(8, header_size));
  size_t named = 0;
  for (const auto& [name, info] : header.items()) {
    if (name == "__metadata__") continue;
    CAPTURE(name);
    const CheckpointTensor* t = c.find(name);
    REQUIRE(t != nullptr);
    CHECK(t->shape == info["shape"].get<std::vector<uint64_t>>());
    const bool qk = name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos;
    CHECK(t->rows_interleaved_rope == (interleaved && qk));
    CHECK(t->source->map(t->offset, t->bytes) != nullptr);
    ++named;
  }
  for (const CheckpointTensor& t : c.tensors()) CHECK((header.contains(t.name) || t.name == "model.rope_freqs.weight"));
  CHECK(c.tensors().size() == named + (c.find("model.rope_freqs.weight") != nullptr));
}

}  // namespace

TEST_CASE("checkpoint: the golden models' names and config.json") {
  size_t files = 0;
  for (const auto& root : golden_roots()) {
    for (const std::string model : {"llama", "qwen2"}) {
      const auto folder = root / "models" / model;
      if (!std::filesystem::exists(folder / "gguf")) continue;
      const auto hf = nlohmann::json::parse(read_file(folder / "hf" / "config.json"));
      const std::string safetensors = read_file(folder / "hf" / "model.safetensors");
      for (const auto& entry : std::filesystem::directory_iterator(folder / "gguf")) {
        if (entry.path().extension() != ".gguf") continue;
        CAPTURE(entry.path().string());
        auto source = open_path(entry.path().string(), Access::kMap);
        REQUIRE(source.ok());
        auto gguf = Gguf::open(std::move(*source), {}, kTestTypes);
        REQUIRE_MESSAGE(gguf.ok(), gguf.status().message());
        const auto c = Checkpoint::from_gguf(std::move(*gguf));
        REQUIRE_MESSAGE(c.ok(), c.status().message());
        CHECK(c->file_bytes() == entry.file_size());
        CHECK(c->gguf()->strings("tokenizer.ggml.tokens")->size() == hf["vocab_size"].get<size_t>());
        check_golden_config(*c, hf);
        check_golden_tensors(*c, safetensors, model == "llama");
        ++files;
      }
    }
  }
  if (files == 0) MESSAGE("no golden GGUF files here");
}

TEST_CASE("checkpoint: tensor names") {
  CHECK(canonical_tensor_name("output.weight") == "lm_head.weight");
  CHECK(canonical_tensor_name("rope_freqs.weight") == "model.rope_freqs.weight");
  CHECK(canonical_tensor_name("blk.12.attn_output.bias") == "model.layers.12.self_attn.o_proj.bias");
  CHECK(canonical_tensor_name("blk.0.attn_q_norm.weight") == "model.layers.0.self_attn.q_norm.weight");
  CHECK(canonical_tensor_name("blk.0.ffn_gate_inp.weight") == "model.layers.0.mlp.gate.weight");
  CHECK(canonical_tensor_name("blk.0.ffn_up_exps.weight") == "model.layers.0.mlp.experts.up_proj.weight");
  CHECK(canonical_tensor_name("blk.0.ffn_up_shexp.weight", "qwen2moe") ==
        "model.layers.0.mlp.shared_expert.up_proj.weight");
  CHECK(canonical_tensor_name("blk.0.ffn_up_shexp.weight", "deepseek2") ==
        "model.layers.0.mlp.shared_experts.up_proj.weight");
  CHECK(canonical_tensor_name("blk.3.exp_probs_b.bias") == "model.layers.3.mlp.gate.e_score_correction_bias");
  for (const char* name : {"", "blk", "blk.", "blk.1", "blk.1.", "blk..attn_q.weight", "blk.01.attn_q.weight",
                           "blk.1x.attn_q.weight", "blk.-1.attn_q.weight", "blk.1.attn_q", "blk.1.attn_q.",
                           "attn_q.weight", "blk.1.attn_q.weight.x", "blk.1.token_embd.weight", "blk.1.mystery.weight",
                           "mystery.weight", "output", "output.scale", "v.blk.1.attn_q.weight"}) {
    CHECK(canonical_tensor_name(name) == name);
  }
  CHECK(is_qk_projection("blk.1.attn_k.bias"));
  CHECK_FALSE(is_qk_projection("blk.1.attn_v.weight"));
  CHECK_FALSE(is_qk_projection("blk.1.attn_q_norm.weight"));
}

TEST_CASE("checkpoint: what the file leaves out") {
  const Config c = config_of(llama());
  CHECK(*c.integer("head_dim", 1, 1024) == 16);
  CHECK(*c.integer("num_key_value_heads", 1, 1024) == 4);
  CHECK(*c.integer("vocab_size", 1, 1024) == 5);
  CHECK(*c.real("rope_theta", 1, 1e9) == 10000.0);
  CHECK(*c.boolean("tie_word_embeddings") == true);
  CHECK_FALSE(c.has("bos_token_id"));
  CHECK_FALSE(c.has("rms_norm_eps"));
  CHECK_FALSE(config_of(llama().set<uint32_t>("llama.rope.dimension_count", 16)).has("partial_rotary_factor"));
  CHECK(*config_of(llama().set<uint32_t>("llama.rope.dimension_count", 8)).real("partial_rotary_factor", 0, 1) == 0.5);
}

TEST_CASE("checkpoint: rope scaling") {
  Config c = config_of(llama().set("llama.rope.scaling.type", "none").set<float>("llama.rope.scaling.factor", 2));
  CHECK_FALSE(c.has("rope_scaling.rope_type"));
  c = config_of(llama().set<float>("llama.rope.scale_linear", 2));
  CHECK(*c.string("rope_scaling.rope_type") == "linear");
  CHECK(*c.real("rope_scaling.factor", 0, 9) == 2.0);
  GgufWriter yarn = llama();
  yarn.set("llama.rope.scaling.type", "yarn").set<float>("llama.rope.scaling.factor", 4);
  yarn.set<uint32_t>("llama.rope.scaling.original_context_length", 4096);
  yarn.set<float>("llama.rope.scaling.yarn_beta_fast", 32).set<float>("llama.rope.scaling.yarn_beta_slow", 1);
  c = config_of(yarn);
  CHECK(*c.string("rope_scaling.rope_type") == "yarn");
  CHECK(*c.real("rope_scaling.factor", 0, 9) == 4.0);
  CHECK(*c.integer("rope_scaling.original_max_position_embeddings", 1, 1 << 20) == 4096);
  CHECK(*c.real("rope_scaling.beta_fast", 0, 99) == 32.0);
  CHECK(*c.real("rope_scaling.beta_slow", 0, 99) == 1.0);
  CHECK_FALSE(c.has("rope_scaling.attention_factor"));
  c = config_of(yarn.set<float>("llama.rope.scaling.attn_factor", 0.5f));
  CHECK(*c.real("rope_scaling.attention_factor", 0, 9) == doctest::Approx(0.5 * (0.1 * std::log(4.0) + 1)));
}

TEST_CASE("checkpoint: template, name, unknown tensors") {
  const auto c = open_checkpoint(
      llama().set("tokenizer.chat_template", "{{ messages }}").tensor("mystery.weight", {1}, 0, "1234").finish());
  REQUIRE(c.ok());
  CHECK(c->chat_template() == "{{ messages }}");
  CHECK(c->name() == "test.gguf");
  CHECK(c->find("mystery.weight") != nullptr);
  CHECK(c->find("token_embd.weight") == nullptr);
  CHECK(open_checkpoint(llama().finish())->chat_template().empty());
}

TEST_CASE("checkpoint: what is refused") {
  check_refused(GgufWriter().set("k", "v"), Code::kCorrupt, "general.architecture: missing");
  check_refused(GgufWriter().set("general.architecture", "mam\nba"), Code::kUnsupported,
                "\"mam\\x0aba\", supported are llama, qwen2");
  check_refused(GgufWriter().set("general.architecture", std::string(1 << 20, 'x')), Code::kUnsupported, "xxx...");
  check_refused(llama().set("general.type", "adapter"), Code::kUnsupported, "\"adapter\", expected \"model\"");
  check_refused(llama().set<uint32_t>("llama.expert_count", 8), Code::kUnsupported, "llama with experts");
  check_refused(llama().set<uint32_t>("llama.expert_gating_func", 3), Code::kUnsupported, "expert_gating_func: 3");
  check_refused(llama().array<uint32_t>("llama.attention.head_count_kv", {1, 2}), Code::kUnsupported,
                "llama.attention.head_count_kv: expected an integer");
  check_refused(llama().set("llama.rope.freq_base", "big"), Code::kUnsupported, "rope.freq_base: expected a number");
  check_refused(llama().set<uint32_t>("llama.rope.scaling.type", 1), Code::kCorrupt, "expected a string");
  check_refused(llama().tensor("model.embed_tokens.weight", {1}, 0, "1234"), Code::kCorrupt,
                "two tensors mean model.embed_tokens.weight");
}
