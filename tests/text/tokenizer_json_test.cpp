// tokenizer.json as an input: what is understood, what is refused by name, and that no bytes do harm.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/text/tokenizer_support.h"

namespace kette::test {
namespace {

using nlohmann::json;
using Ids = std::vector<Token>;

Status load(const json& value, std::string_view config = "") {
  auto made = Tokenizer::from_json(value.dump(), config);
  return made.ok() ? Status() : std::move(made).status();
}

Tokenizer make(const json& value, std::string_view config = "") { return make_tokenizer(value.dump(), config); }

bool mentions(const Status& status, const char* what) { return status.message().find(what) != std::string::npos; }

TEST_CASE("kinds that are not reproduced exactly are refused by name") {
  const auto refused = [](const char* part, json value, const char* name) {
    json tokenizer = tiny_tokenizer_json();
    tokenizer[part] = std::move(value);
    const Status status = load(tokenizer);
    CAPTURE(status.message());
    CHECK(status.code() == Code::kUnsupported);
    CHECK(mentions(status, name));
    CHECK(status.message().size() < 300);
  };
  refused("normalizer", {{"type", "Lowercase"}}, "Lowercase");
  refused("normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Prepend"}}}}}, "Prepend");
  refused("pre_tokenizer", {{"type", "Metaspace"}}, "Metaspace");
  refused("pre_tokenizer", nullptr, "ByteLevel");
  refused("pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", true}}, "add_prefix_space");
  refused("decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "Replace"}}}}}, "Replace");
  refused("post_processor", {{"type", "BertProcessing"}}, "BertProcessing");
  const auto split = [](const std::string& pattern, const char* behavior) {
    const json step = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behavior}, {"invert", false}};
    return json{{"type", "Sequence"}, {"pretokenizers", {step, {{"type", "ByteLevel"}, {"use_regex", false}}}}};
  };
  refused("pre_tokenizer", split("\\w+" + std::string(5000, 'x'), "Isolated"), "\\w+xxx");
  refused("pre_tokenizer", split("\\p{N}", "Removed"), "Removed");
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"}) {
    json tokenizer = tiny_tokenizer_json();
    tokenizer["model"]["type"] = type;
    CHECK(mentions(load(tokenizer), type));
  }
  json unigram = tiny_tokenizer_json();
  unigram["model"] = {{"type", "Unigram"},
                      {"vocab", json::array({json::array({"a", -1.5}), json::array({"b", -2.0})})}};
  CHECK(mentions(load(unigram), "Unigram"));
}

TEST_CASE("merges are lines or pairs, and must be in the vocabulary") {
  json tokenizer = tiny_tokenizer_json();
  CHECK(*make(tokenizer).encode(" a", false, false) == Ids{256});
  tokenizer["model"]["merges"] = json::array({json::array({"Ġ", "a"})});
  CHECK(*make(tokenizer).encode(" a", false, false) == Ids{256});
  tokenizer["model"]["merges"] = {"Ġ b"};
  CHECK(mentions(load(tokenizer), "Ġb"));
  for (const json& bad : {json({"Ġa"}), json({"a b c"}), json({{"a"}}), json({{"a", "b", "c"}}), json({1}),
                          json({{1, 2}}), json("a b"), json({{{"a", "b"}}}), json::object()}) {
    tokenizer["model"]["merges"] = bad;
    CHECK(load(tokenizer).code() == Code::kFormat);
  }
}

TEST_CASE("ids of a hostile vocabulary") {
  for (const json& id : {json(-1), json(1LL << 40), json(~0ULL), json(1.5), json("1"), json(nullptr), json::array(),
                         json(16'000'000), json(97)}) {
    json tokenizer = tiny_tokenizer_json();
    tokenizer["model"]["vocab"]["new"] = id;
    CAPTURE(id.dump());
    CHECK(load(tokenizer).code() == Code::kFormat);
    tokenizer = tiny_tokenizer_json();
    tokenizer["added_tokens"] = {added_token(300, "<x>", true)};
    tokenizer["added_tokens"][0]["id"] = id;
    if (id != 97 && id != 16'000'000) CHECK(load(tokenizer).code() == Code::kFormat);
  }
  json tokenizer = tiny_tokenizer_json();
  tokenizer["added_tokens"] = {{{"content", "<x>"}}};
  CHECK(load(tokenizer).code() == Code::kFormat);
  tokenizer = tiny_tokenizer_json();
  tokenizer["model"]["vocab"]["hole"] = 1000;
  CHECK(make(tokenizer).vocab_size() == 1001);
  CHECK(make(tokenizer).bytes_of(999).empty());
}

TEST_CASE("a byte without a token is the unknown token, or an error") {
  json tokenizer = tiny_tokenizer_json();
  tokenizer["model"]["vocab"].erase("z");
  tokenizer["model"]["vocab"]["<unk>"] = 300;
  const auto missing = make(tokenizer).encode("az", false, false);
  CHECK(missing.status().code() == Code::kUnsupported);
  CHECK(mentions(missing.status(), "0x7A"));
  CHECK_FALSE(make(tokenizer).encode(std::string(100, 'z'), false, false).ok());
  tokenizer["model"]["unk_token"] = "<unk>";
  CHECK(*make(tokenizer).encode("azzb", false, false) == Ids{97, 300, 300, 98});
  CHECK(make(tokenizer).encode(std::string(100, 'z'), false, false)->size() == 100);
  tokenizer["model"]["fuse_unk"] = true;
  CHECK(*make(tokenizer).encode("azzb", false, false) == Ids{97, 300, 98});
  CHECK(make(tokenizer).encode(std::string(100, 'z'), false, false)->size() == 1);
}

TEST_CASE("added tokens: the leftmost longest, stripping, single words") {
  json tokenizer = tiny_tokenizer_json();
  auto& added = tokenizer["added_tokens"];
  const auto add = [&](int id, const char* content, const char* flag) {
    added.push_back(added_token(id, content, false));
    if (*flag) added.back()[flag] = true;
  };
  add(300, "bc", "");
  add(301, "bcd", "");
  add(302, "cdefg", "");
  add(303, "<l>", "lstrip");
  add(304, "<r>", "rstrip");
  add(305, "word", "single_word");
  add(306, "<n>", "normalized");
  add(307, "", "");
  const Tokenizer made = make(tokenizer);
  const auto ids = [&](const char* text) { return *made.encode(text, false, true); };
  CHECK(ids("bcdefg") == Ids{301, 'e', 'f', 'g'});
  CHECK(ids("bcx") == Ids{300, 'x'});
  CHECK(ids("cdefg") == Ids{302});
  CHECK(ids("cdefbc") == Ids{'c', 'd', 'e', 'f', 300});
  CHECK(ids("x \xC2\xA0<l> y<r>\n z") == Ids{'x', 303, ' ', 'y', 304, 'z'});
  CHECK(ids("<r>  <l>") == Ids{304, 303});
  CHECK(ids("word wordy sword.word") == Ids{305, ' ', 'w', 'o', 'r', 'd', 'y', ' ', 's', 'w', 'o', 'r', 'd', '.', 305});
  CHECK(ids("a<n>b") == Ids{'a', 306, 'b'});
}

TEST_CASE("normalized added tokens, NFC and stretches together") {
  json tokenizer = tiny_tokenizer_json();
  tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["added_tokens"] = {added_token(300, "<|x|>", true), added_token(301, "\xC3\xA9!", false)};
  for (auto& token : tokenizer["added_tokens"]) token["normalized"] = true;
  const Tokenizer made = make(tokenizer);
  CHECK(*made.encode("e\xCC\x81!<|x|>", false, true) == Ids{301, 300});
  const TextSpan spans[] = {{"e\xCC\x81!<|x|>", false}, {"e\xCC\x81!<|x|>", true}};
  const auto ids = made.encode(spans, false);
  CHECK(*ids == Ids{301, '<', '|', 'x', '|', '>', 301, 300});
}

TEST_CASE("templates and configs") {
  json tokenizer = tiny_tokenizer_json();
  tokenizer["added_tokens"] = {added_token(300, "<s>", true), added_token(301, "</s>", true),
                               added_token(302, "<|im_end|>", true)};
  CHECK(make(tokenizer).eos() == Token{302});
  const Tokenizer configured = make(tokenizer, R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>",
                                                  "add_bos_token": true, "add_eos_token": true})");
  CHECK(*configured.encode("b", true, false) == Ids{300, 'b', 301});
  CHECK(configured.adds_bos());
  CHECK(configured.end_of_generation().size() == 2);
  CHECK(load(tokenizer, R"({"bos_token": "<none>", "add_bos_token": true})").code() == Code::kFormat);
  CHECK(load(tokenizer, R"({"bos_token": "<none>"})").ok());
  CHECK(load(tokenizer, "[1]").code() == Code::kFormat);
  CHECK(load(tokenizer, "{").code() == Code::kFormat);

  const auto special = [](const char* id) { return json{{"SpecialToken", {{"id", id}, {"type_id", 0}}}}; };
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json processor = {{"type", "TemplateProcessing"},
                    {"single", {special("<s>"), text, special("</s>")}},
                    {"special_tokens", {{"<s>", {{"ids", {300}}}}, {"</s>", {{"ids", {301, 302}}}}}}};
  tokenizer["post_processor"] = processor;
  CHECK(*make(tokenizer).encode("b", true, false) == Ids{300, 'b', 301, 302});
  CHECK(*make(tokenizer).encode("b", false, false) == Ids{'b'});
  for (const json& bad :
       {json({special("<t>"), text}), json({text, text}), json({special("<s>")}), json({1}), json(1)}) {
    processor["single"] = bad;
    tokenizer["post_processor"] = processor;
    CHECK_FALSE(load(tokenizer).ok());
  }
  processor["single"] = {special("<s>"), text};
  for (const json& bad : {json({9999}), json({-1}), json({1ULL << 63}), json({"x"}), json(3)}) {
    processor["special_tokens"]["<s>"]["ids"] = bad;
    tokenizer["post_processor"] = processor;
    CHECK_FALSE(load(tokenizer).ok());
  }
}

// Every value of a JSON tree, one after the other, replaced by values of other kinds.
void replace_each(json& root, json& value, const std::function<void()>& check) {
  const json original = value;
  for (const json& other : {json(nullptr), json(7), json("x"), json::array(), json::object(), json(true), json(-1.5)}) {
    value = other;
    check();
  }
  value = original;
  if (value.is_object() && value.size() > 50) return;  // the vocabulary
  if (value.is_structured())
    for (auto& inner : value) replace_each(root, inner, check);
}

TEST_CASE("no change of a value and no truncation does harm") {
  json tokenizer = tiny_tokenizer_json();
  tokenizer["added_tokens"] = {added_token(300, "<s>", true)};
  tokenizer["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  const json template_processing = {{"type", "TemplateProcessing"},
                                    {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                                    {"special_tokens", {{"<s>", {{"ids", {300}}}}}}};
  tokenizer["post_processor"] = {{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, template_processing}}};
  size_t accepted = 0, refused = 0;
  replace_each(tokenizer, tokenizer, [&] {
    const auto made = Tokenizer::from_json(tokenizer.dump(), "");
    ++(made.ok() ? accepted : refused);
    if (made.ok())
      CHECK((void(made->encode(" a<s>\xFF", true, true)), true));
    else
      CHECK(made.status().message().size() < 300);
  });
  CHECK(accepted > 10);
  CHECK(refused > 50);

  const std::string whole = tokenizer.dump();
  for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 200)
    CHECK_FALSE(Tokenizer::from_json(std::string_view(whole).substr(0, size), "").ok());
  CHECK_FALSE(Tokenizer::from_json(std::string(100'000, '['), "").ok());
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"normalizer\":";
  CHECK_FALSE(Tokenizer::from_json(deep, "").ok());
  CHECK_FALSE(Tokenizer::from_json(R"({"normalizer":{},"normalizer":{},"model":{}})", "").ok());
}

TEST_CASE("a real tokenizer.json, truncated or damaged") {
  const std::string whole = reference_json("deepseek_v3");
  for (size_t i = 0; i < 200; i += 5) {
    const auto cut = Tokenizer::from_json(std::string_view(whole).substr(0, whole.size() / 200 * i), "");
    CHECK(cut.status().code() == Code::kFormat);
  }
}

}  // namespace
}  // namespace kette::test
