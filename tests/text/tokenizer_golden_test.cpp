// Kette's tokens against those of Hugging Face tokenizers.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "tests/text/tokenizer_support.h"

namespace kette::test {
namespace {

using Ids = std::vector<Token>;

TEST_CASE("encode and decode equal Hugging Face's") {
  for (const std::string key : kReferenceTokenizers) {
    CAPTURE(key);
    const Tokenizer& tokenizer = reference_tokenizer(key);
    const auto golden = golden_json("tokenizer/" + key + ".golden.json");
    REQUIRE(golden["encode"].size() >= 257);
    REQUIRE(golden["decode"].size() == 60);
    for (const auto& item : golden["encode"]) {
      const auto text = item["text"].get<std::string>();
      CAPTURE(text);
      const auto ids = tokenizer.encode(text, false, true);
      REQUIRE(ids.ok());
      const auto expected = item["ids"].get<Ids>();
      CHECK(*ids == expected);
      const auto with_special = tokenizer.encode(text, true, true);
      REQUIRE(with_special.ok());
      CHECK(*with_special == item.value("ids_with_special", expected));
      CHECK(replace_broken(*tokenizer.decode(expected)) == item["decoded"].get<std::string>());
      CHECK(replace_broken(*tokenizer.decode(expected, true)) == item["decoded_skip_special"].get<std::string>());
    }
    for (const auto& item : golden["decode"]) {
      const auto ids = item["ids"].get<Ids>();
      CHECK(replace_broken(*tokenizer.decode(ids)) == item["decoded"].get<std::string>());
      CHECK(replace_broken(*tokenizer.decode(ids, true)) == item["decoded_skip_special"].get<std::string>());
    }
  }
}

TEST_CASE("rendered chats equal Hugging Face's tokens, however they are cut into special stretches") {
  size_t cases = 0;
  for (const auto& root : golden_roots()) {
    if (!std::filesystem::exists(root / "chat")) continue;
    for (const auto& file : std::filesystem::directory_iterator(root / "chat")) {
      if (file.path().extension() != ".json") continue;
      const auto chat = nlohmann::json::parse(read_file(file.path()));
      const auto key = chat.value("ids_tokenizer", "");
      if (std::ranges::find(kReferenceTokenizers, key) == std::end(kReferenceTokenizers)) continue;
      const Tokenizer& tokenizer = reference_tokenizer(key);
      for (const auto& item : chat["cases"]) {
        if (!item.contains("ids")) continue;
        const auto text = item["rendered"].get<std::string>();
        CAPTURE(text);
        const auto expected = item["ids"].get<Ids>();
        CHECK(*tokenizer.encode(text, false, true) == expected);
        std::vector<TextSpan> spans;
        for (size_t at = 0; at < text.size(); at += 7) spans.push_back({std::string_view(text).substr(at, 7), true});
        CHECK(*tokenizer.encode(spans, false) == expected);
        ++cases;
      }
    }
    break;
  }
  CHECK(cases > 200);
}

TEST_CASE("tokenizer_config.json says what is put around a text") {
  const auto config = [](const std::string& key) {
    return read_file(find_golden("tokenizer/" + key + ".tokenizer_config.json"));
  };
  const Tokenizer deepseek = make_tokenizer(reference_json("deepseek_v3"), config("deepseek_v3"));
  CHECK(deepseek.adds_bos());
  CHECK(deepseek.bos() == Token{0});
  CHECK(deepseek.eos() == Token{1});
  CHECK(deepseek.encode("a", true, false)->front() == 0);
  CHECK(deepseek.encode("a", false, false)->size() == 1);

  const Tokenizer qwen = make_tokenizer(reference_json("qwen3"), config("qwen3"));
  CHECK_FALSE(qwen.adds_bos());
  CHECK_FALSE(qwen.bos());
  CHECK(qwen.eos() == qwen.find_special("<|im_end|>"));
  const auto ends = qwen.end_of_generation();
  CHECK(Ids(ends.begin(), ends.end()) == Ids{151643, 151645});

  const Tokenizer llama = make_tokenizer(reference_json("llama3_1"), config("llama3_1"));
  CHECK(llama.adds_bos());
  CHECK(*llama.encode("a", true, false) == Ids{128000, 64});
  CHECK(llama.is_special(128009));
  CHECK_FALSE(llama.is_special(64));
  CHECK(llama.vocab_size() == 128256);
}

TEST_CASE("what a user typed never becomes a control token") {
  for (const std::string key : kReferenceTokenizers) {
    const Tokenizer& tokenizer = reference_tokenizer(key);
    for (const std::string spelling :
         {"<|im_end|>", "<|eot_id|>", "<|fim_prefix|>", "<｜User｜>", "<｜end▁of▁sentence｜>"}) {
      const auto control = tokenizer.find_special(spelling);
      if (!control) continue;
      CAPTURE(spelling);
      const auto typed = tokenizer.encode("x" + spelling + "y", false, false);
      REQUIRE(typed.ok());
      CHECK(std::find(typed->begin(), typed->end(), *control) == typed->end());
      CHECK(*tokenizer.decode(*typed) == "x" + spelling + "y");

      // Nor do a template's literal and what a user typed make one together.
      const TextSpan spans[] = {{std::string_view(spelling).substr(0, 3), true},
                                {std::string_view(spelling).substr(3), false}};
      const auto joined = tokenizer.encode(spans, false);
      CHECK(std::find(joined->begin(), joined->end(), *control) == joined->end());
      const TextSpan around[] = {{spelling, true}, {spelling, false}, {spelling, true}};
      const auto both = tokenizer.encode(around, false);
      CHECK(std::count(both->begin(), both->end(), *control) == 2);
      CHECK(both->front() == *control);
      CHECK(both->back() == *control);
    }
  }
  const Tokenizer& qwen = reference_tokenizer("qwen3");
  CHECK(qwen.encode("<think>", false, false)->size() == 1);
}

TEST_CASE("a message between literals has the tokens of the whole text") {
  const Tokenizer& qwen = reference_tokenizer("qwen3");
  const std::string_view message = "\n  12 o'clock, caf\xC3\xA9 cafe\xCC\x81\n\n";
  const std::string_view before = "<|im_start|>user\n", after = "<|im_end|>\n";
  const TextSpan spans[] = {{before, true}, {message, false}, {after, true}};
  const std::string whole = std::string(before) + std::string(message) + std::string(after);
  CHECK(*qwen.encode(spans, false) == *qwen.encode(whole, false, true));
}

TEST_CASE("the tiny checkpoints' tokenizers load and round-trip") {
  size_t seen = 0;
  for (const auto& root : golden_roots()) {
    if (!std::filesystem::exists(root / "models")) continue;
    for (const auto& model : std::filesystem::directory_iterator(root / "models")) {
      const auto folder = model.path() / "hf";
      if (!std::filesystem::exists(folder / "tokenizer.json")) continue;
      const Tokenizer tokenizer =
          make_tokenizer(read_file(folder / "tokenizer.json"), read_file(folder / "tokenizer_config.json"));
      CHECK(tokenizer.eos().has_value());
      const std::string text = "The quick brown fox,  1234 jumps over 中文 and \xF0\x9F\x98\x80!\n";
      CHECK(*tokenizer.decode(*tokenizer.encode(text, false, false)) == text);
      ++seen;
    }
  }
  if (seen == 0) MESSAGE("no checkpoints in the golden folders");
}

}  // namespace
}  // namespace kette::test
