// Directories as Hugging Face publishes models.
#include "file/hf_directory.h"

#include <doctest/doctest.h>

#include "file/safetensors_index.h"
#include "support/golden.h"
#include "support/hf_files.h"

using namespace kette;
using namespace kette::test;

namespace {

std::string one(std::string_view name) { return SafetensorsWriter().tensor(name, "F32", {1}, "1234").finish(); }

// Two files with an index.
Directory sharded() {
  Directory d;
  d.files["config.json"] = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 8})";
  d.files["m-1.safetensors"] = one("model.a");
  d.files["m-2.safetensors"] =
      SafetensorsWriter().tensor("model.c", "F32", {1}, "5678").tensor("model.b", "F16", {1}, "ab").finish();
  d.files["model.safetensors.index.json"] = R"({"metadata": {"total_size": 10, "weight_map": {"x": 1}}, "weight_map": {
    "model.a": "m-1.safetensors", "model.b": "m-2.safetensors", "model.c": "m-2.safetensors"}})";
  return d;
}

Directory single() {
  Directory d;
  d.files["config.json"] = R"({"architectures": ["LlamaForCausalLM"]})";
  d.files["model.safetensors"] = one("lm_head.weight");
  return d;
}

Result<Checkpoint> open(Directory& d, const std::string& weights = "") {
  return Checkpoint::from_hf(d.open(), weights, "models/dir", kTestDtypes);
}

void check_refused(Directory d, Code code, std::string_view text, const std::string& weights = "") {
  const Status status = open(d, weights).status();
  CAPTURE(status.message());
  CHECK(status.code() == code);
  CHECK(status.message().find(text) != std::string::npos);
  CHECK(status.message().starts_with("dir: "));
}

void check_index_refused(std::string_view index, std::string_view text, Code code = Code::kCorrupt) {
  Directory d = sharded();
  d.files["model.safetensors.index.json"] = index;
  check_refused(d, code, text);
  // Nothing that the index names was opened.
  CHECK_FALSE(open(d).ok());
  CHECK(d.opened == std::vector<std::string>{"config.json", "generation_config.json", "model.safetensors",
                                             "model.safetensors.index.json"});
}

}  // namespace

TEST_CASE("hf_directory: one file, and several with an index") {
  Directory d = single();
  const auto c = open(d);
  REQUIRE_MESSAGE(c.ok(), c.status().message());
  CHECK(c->architecture() == "LlamaForCausalLM");
  CHECK(c->gguf() == nullptr);
  CHECK(c->name() == "models/dir");
  CHECK(c->file_bytes() == d.files["model.safetensors"].size());
  REQUIRE(c->find("lm_head.weight") != nullptr);
  CHECK(*c->config().boolean("tie_word_embeddings") == false);  // not said: by the tensors
  CHECK(open(d, "model.safetensors").ok());

  for (const std::string weights : {"", "model.safetensors.index.json"}) {
    Directory s = sharded();
    const auto m = open(s, weights);
    REQUIRE_MESSAGE(m.ok(), m.status().message());
    REQUIRE(m->tensors().size() == 3);
    const CheckpointTensor* b = m->find("model.b");
    REQUIRE(b != nullptr);
    CHECK(s.files["m-2.safetensors"].substr(b->offset, b->bytes) == "ab");
    CHECK(*m->config().boolean("tie_word_embeddings") == true);
  }
  // Where both are, the single file is the model.
  Directory both = sharded();
  both.files["model.safetensors"] = one("x");
  CHECK(open(both)->tensors().size() == 1);
}

TEST_CASE("hf_directory: generation_config.json") {
  Directory d = single();
  CHECK_FALSE(open(d)->generation().has("temperature"));
  d.files["generation_config.json"] =
      R"({"temperature": 0.6, "top_p": 0.95, "top_k": 20, "do_sample": true, "eos_token_id": [1, 2]})";
  const auto c = open(d);
  CHECK(*c->generation().real("temperature", 0, 1) == 0.6);
  CHECK(*c->generation().integers("eos_token_id") == std::vector<int64_t>{1, 2});
  d.files["generation_config.json"] = "{";
  check_refused(d, Code::kFormat, "generation_config.json: not valid JSON");
}

TEST_CASE("hf_directory: texts") {
  Directory d;
  CHECK(read_hf_text(d.open())->tokenizer.empty());
  d.files["tokenizer.json"] = "{}";
  d.files["tokenizer_config.json"] = R"({"chat_template": "A"})";
  CHECK(read_hf_text(d.open())->tokenizer == "{}");
  CHECK(read_hf_text(d.open())->chat_template == "A");
  d.files["tokenizer_config.json"] =
      R"({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})";
  CHECK(read_hf_text(d.open())->chat_template == "D");
  d.files["chat_template.jinja"] = "J";
  CHECK(read_hf_text(d.open())->chat_template == "J");
  for (const char* none :
       {"{}", "[]", "", R"({"chat_template": 1})", R"({"chat_template": [1, {}, {"name": "x", "template": "y"}]})"}) {
    Directory other;
    other.files["tokenizer_config.json"] = none;
    CHECK(read_hf_text(other.open())->chat_template.empty());
  }
  // A file that cannot be opened is not one that is not there.
  const OpenSibling broken = [](const std::string&) { return error(Code::kIo, "broken"); };
  CHECK(read_hf_text(broken).status().code() == Code::kIo);
}

TEST_CASE("hf_directory: missing and wrong files") {
  Directory d = single();
  d.files.erase("config.json");
  check_refused(d, Code::kNotFound, "config.json");
  d = single();
  d.files.erase("model.safetensors");
  check_refused(d, Code::kNotFound, "no weights: neither model.safetensors nor model.safetensors.index.json");
  d = single();
  for (const char* none :
       {"{}", R"({"architectures": []})", R"({"architectures": [1]})", R"({"architectures": null})"}) {
    d.files["config.json"] = none;
    check_refused(d, Code::kCorrupt, "architectures: expected a list of one name");
  }
  d.files["config.json"] = R"({"architectures": ["X"], "quantization_config": {"quant_method": "awq"}})";
  check_refused(d, Code::kUnsupported, "config.json: quantization_config.quant_method: \"awq\"");
  d.files["config.json"] = std::string(17 << 20, ' ');
  check_refused(d, Code::kBudget, "config.json: 17825792 bytes");
}

TEST_CASE("hf_directory: the index and the files agree") {
  Directory d = sharded();
  d.files.erase("m-2.safetensors");
  check_refused(d, Code::kNotFound, "m-2.safetensors");
  d = sharded();
  d.files["m-2.safetensors"] = one("model.b");
  check_refused(d, Code::kCorrupt, "m-2.safetensors: tensor model.c is missing");
  d = sharded();
  d.files["m-1.safetensors"] =
      SafetensorsWriter().tensor("model.a", "F32", {1}, "1234").tensor("extra", "F32", {1}, "1234").finish();
  check_refused(d, Code::kCorrupt, "m-1.safetensors: tensor extra is not in the index");
  d = sharded();  // a tensor in the other file
  d.files["m-1.safetensors"] = one("model.b");
  d.files["m-2.safetensors"] =
      SafetensorsWriter().tensor("model.c", "F32", {1}, "5678").tensor("model.a", "F16", {1}, "ab").finish();
  check_refused(d, Code::kCorrupt, "m-1.safetensors: tensor model.a is missing");
  d = sharded();  // in both
  d.files["m-1.safetensors"] =
      SafetensorsWriter().tensor("model.a", "F32", {1}, "1234").tensor("model.b", "F32", {1}, "1234").finish();
  check_refused(d, Code::kCorrupt, "model.b");
  d = sharded();  // the name with more behind it
  d.files["m-2.safetensors"] = SafetensorsWriter()
                                   .tensor("model.c", "F32", {1}, "5678")
                                   .tensor("model.b", "F16", {1}, "ab")
                                   .tensor("z", "F16", {1}, "ab")
                                   .finish();
  check_refused(d, Code::kCorrupt, "tensor z is not in the index");
}

TEST_CASE("hf_directory: file names of an index are plain names") {
  const auto named = [](std::string_view name) {
    return fmt::format("{{\"weight_map\": {{\"model.a\": \"{}\"}}}}", name);
  };
  for (const char* name : {"../m-1.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\\\b.safetensors", "..",
                           ".", "", ".safetensors", "..safetensors", "m-1.bin", "x.safetensors/", "c:x.safetensors",
                           "a b.safetensors", "a\\u0000.safetensors", "a\\n.safetensors", "\xc3\xa9.safetensors"})
    check_index_refused(named(name), "expected the plain name");
  check_index_refused(named(std::string(256, 'a') + ".safetensors"), "expected the plain name");
  check_index_refused("{}", "weight_map: missing or empty");
  check_index_refused(R"({"weight_map": {}})", "weight_map: missing or empty");
  check_index_refused(R"({"weight_map": []})", "weight_map: expected an object");
  check_index_refused(R"({"weight_map": 1})", "weight_map: expected an object");
  check_index_refused(R"({"weight_map": {"a": 1}})", "expected a file name");
  check_index_refused(R"({"weight_map": {"a": ["x"]}})", "expected file names");
  check_index_refused(R"({"weight_map": {"a": "x.safetensors", "a": "x.safetensors"}})", "duplicate tensor a");
  check_index_refused(R"({"weight_map": {"a": "x.safetensors"}, "weight_map": {}})", "duplicate weight_map");
  check_index_refused("{", "not valid JSON", Code::kFormat);
  std::string many = R"({"weight_map": {)";
  for (int i = 0; i < 1025; ++i) many += fmt::format("{}\"{}\": \"{}.safetensors\"", i > 0 ? "," : "", i, i);
  check_index_refused(many + "}}", "1025 files", Code::kBudget);
}

TEST_CASE("hf_directory: golden checkpoints") {
  size_t checked = 0;
  for (const auto& root : golden_roots()) {
    if (!std::filesystem::exists(root / "models")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root / "models")) {
      const auto dir = entry.path() / "hf";
      if (!std::filesystem::exists(dir / "model.safetensors") &&
          !std::filesystem::exists(dir / "model.safetensors.index.json"))
        continue;
      CAPTURE(dir.string());
      const OpenSibling files = [&](const std::string& name) { return open_path((dir / name).string(), Access::kMap); };
      const auto c = Checkpoint::from_hf(files, "", dir.string(), kTestDtypes);
      REQUIRE_MESSAGE(c.ok(), c.status().message());
      CHECK(c->config().real("rope_theta", 1, 1e9).ok());
      CHECK(c->config().string("torch_dtype").ok());
      CHECK(c->generation().integers("eos_token_id").ok());
      CHECK(c->find("model.embed_tokens.weight") != nullptr);
      ++checked;
    }
  }
  CHECK(checked >= 2);
}
