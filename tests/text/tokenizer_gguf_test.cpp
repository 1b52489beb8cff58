// GGUF vocabularies: the same tokens as the tokenizer.json they came from, and clear errors for broken ones.
#include <doctest/doctest.h>

#include "tests/support/gguf_writer.h"
#include "tests/text/tokenizer_support.h"

namespace kette::test {
namespace {

using Ids = std::vector<Token>;

struct Parts {
  std::string model = "gpt2";
  std::string pre = "smollm";
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges{"Ġ a"};
};

// The tiny tokenizer's tokens, then 257 <think> (user defined), 258 <|im_end|> (control), 259 [PAD259] (unused).
Parts tiny_parts() {
  Parts parts;
  parts.tokens.resize(260);
  const auto json = tiny_tokenizer_json();
  for (const auto& [spelling, id] : json["model"]["vocab"].items()) parts.tokens[id.get<size_t>()] = spelling;
  parts.tokens[257] = "<think>";
  parts.tokens[258] = "<|im_end|>";
  parts.tokens[259] = "[PAD259]";
  parts.types.assign(260, 1);
  parts.types[257] = 4;
  parts.types[258] = 3;
  parts.types[259] = 5;
  return parts;
}

Result<Tokenizer> make_gguf(const Parts& parts, const std::function<void(GgufWriter&)>& more = {}) {
  GgufWriter writer;
  writer.set<std::string_view>("general.architecture", "llama");
  writer.set<std::string_view>("tokenizer.ggml.model", parts.model);
  if (!parts.pre.empty()) writer.set<std::string_view>("tokenizer.ggml.pre", parts.pre);
  writer.array("tokenizer.ggml.tokens", parts.tokens);
  if (!parts.types.empty()) writer.array("tokenizer.ggml.token_type", parts.types);
  writer.array("tokenizer.ggml.merges", parts.merges);
  if (more) more(writer);
  const std::string file = writer.finish();
  auto gguf = open_gguf(file);
  if (!gguf.ok()) throw std::runtime_error(gguf.status().message());
  return Tokenizer::from_gguf(*gguf);
}

TEST_CASE("token types, special ids and flags") {
  const auto tokenizer = make_gguf(tiny_parts(), [](GgufWriter& writer) {
    writer.set<uint32_t>("tokenizer.ggml.bos_token_id", 65);
    writer.set<uint32_t>("tokenizer.ggml.eos_token_id", 66);
    writer.set<uint32_t>("tokenizer.ggml.eot_token_id", 67);
    writer.set<bool>("tokenizer.ggml.add_bos_token", true);
  });
  REQUIRE(tokenizer.ok());
  CHECK(*tokenizer->encode(" a<think><|im_end|>", true, true) == Ids{65, 256, 257, 258});
  CHECK(*tokenizer->encode("<|im_end|>", false, false) == Ids{'<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'});
  CHECK(*tokenizer->encode("<think>", false, false) == Ids{257});
  CHECK(*tokenizer->encode("12", false, false) == Ids{'1', '2'});
  CHECK(tokenizer->encode("[PAD259]", false, true)->size() == 8);
  CHECK(tokenizer->bytes_of(259).empty());
  CHECK(tokenizer->is_special(258));
  CHECK_FALSE(tokenizer->is_special(257));
  CHECK(tokenizer->find_special("<|im_end|>") == Token{258});
  const auto ends = tokenizer->end_of_generation();
  CHECK(Ids(ends.begin(), ends.end()) == Ids{66, 67, 258});
  CHECK(tokenizer->adds_bos());
}

TEST_CASE("pre-tokenizer names") {
  Parts parts = tiny_parts();
  for (const char* name :
       {"llama-bpe", "llama3", "qwen2", "deepseek-r1-qwen", "deepseek-llm", "deepseek-v3", "smollm", "gpt-2"}) {
    parts.pre = name;
    CHECK(make_gguf(parts).ok());
  }
  for (const char* name : {"", "default", "falcon", "deepseek-coder"}) {
    parts.pre = name;
    const auto refused = make_gguf(parts);
    CHECK(refused.status().code() == Code::kUnsupported);
    CHECK(refused.status().message().find(*name ? name : "missing") != std::string::npos);
  }
  parts.pre = "qwen2";
  CHECK(*make_gguf(parts)->decode(*make_gguf(parts)->encode("e\xCC\x81", false, false)) == "\xC3\xA9");
  parts.pre = "deepseek-r1-qwen";
  CHECK(*make_gguf(parts)->decode(*make_gguf(parts)->encode("e\xCC\x81", false, false)) == "e\xCC\x81");
  parts.model = "llama";
  CHECK(make_gguf(parts).status().code() == Code::kUnsupported);
}

TEST_CASE("broken vocabularies") {
  Parts parts = tiny_parts();
  parts.types.pop_back();
  CHECK(make_gguf(parts).status().code() == Code::kFormat);
  parts.types.clear();
  CHECK(make_gguf(parts).ok());
  parts.merges = {"noblank"};
  CHECK(make_gguf(parts).status().code() == Code::kFormat);
  parts.merges = {"q x"};
  CHECK(make_gguf(parts).status().code() == Code::kCorrupt);
  parts = tiny_parts();
  for (const int64_t id : {int64_t{-1}, int64_t{260}, int64_t{1} << 40})
    for (const char* key : {"bos", "eos", "unknown", "eot"})
      CHECK(make_gguf(parts,
                      [&](GgufWriter& writer) {
                        writer.set<int64_t>(std::string("tokenizer.ggml.") + key + "_token_id", id);
                      })
                .status()
                .code() == Code::kCorrupt);
  parts.tokens[5] = parts.tokens[6];  // real files hold equal tokens
  CHECK(make_gguf(parts).ok());
  parts.tokens.clear();
  parts.types.clear();
  parts.merges.clear();
  CHECK_FALSE(make_gguf(parts).ok());
}

Result<Tokenizer> open_file(const std::filesystem::path& path) {
  auto source = open_path(path.string(), Access::kRead);
  if (!source.ok()) return source.status();
  auto gguf = Gguf::open(std::move(*source), {}, kTestTypes);
  if (!gguf.ok()) return gguf.status();
  return Tokenizer::from_gguf(*gguf);
}

TEST_CASE("the golden GGUF files have the tokens of their tokenizer.json") {
  size_t compared = 0;
  for (const auto& root : golden_roots()) {
    if (!std::filesystem::exists(root / "models")) continue;
    for (const auto& model : std::filesystem::directory_iterator(root / "models")) {
      const auto file = model.path() / "gguf" / (model.path().filename().string() + "-Q8_0.gguf");
      if (!std::filesystem::exists(file)) continue;
      CAPTURE(file.string());
      const auto folder = model.path() / "hf";
      if (!std::filesystem::exists(folder / "tokenizer.json")) continue;
      const Tokenizer expected =
          make_tokenizer(read_file(folder / "tokenizer.json"), read_file(folder / "tokenizer_config.json"));
      const auto found = open_file(file);
      REQUIRE(found.ok());
      CHECK(found->bos() == expected.bos());
      CHECK(found->eos() == expected.eos());
      CHECK(found->adds_bos() == expected.adds_bos());
      const auto& golden = golden_json("tokenizer/qwen3.golden.json");
      for (const auto& item : golden["encode"]) {
        const auto text = item["text"].get<std::string>();
        CHECK(*found->encode(text, true, true) == *expected.encode(text, true, true));
      }
      ++compared;
    }
  }
  if (compared == 0) MESSAGE("no models in the golden folders");
}

#ifdef KETTE_DEMO_MODEL
TEST_CASE("SmolLM2's own file") {
  const auto path = find_golden("smollm2/smol_open.json");
  if (path.empty()) {
    MESSAGE("no smollm2 in the golden folders");
    return;
  }
  const auto tokenizer = open_file(KETTE_DEMO_MODEL);
  REQUIRE(tokenizer.ok());
  for (const auto& item : nlohmann::json::parse(read_file(path))) {
    CHECK(*tokenizer->encode(item["text"].get<std::string>(), false, true) == item["ids"].get<Ids>());
    CHECK(*tokenizer->decode(item["greedy"].get<Ids>()) == item["greedy_text"].get<std::string>());
  }
  CHECK(tokenizer->eos() == tokenizer->find_special("<|im_end|>"));
}
#endif

}  // namespace
}  // namespace kette::test
