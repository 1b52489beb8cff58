// Any bytes, encoded and decoded: the same bytes. The first byte chooses how.
#include "fuzz/target.h"
#include "support/golden.h"
#include "text/nfc.h"
#include "text/tokenizer.h"

namespace {

kette::Tokenizer load(const char* model) {
  const auto folder = kette::test::golden_roots()[0] / "models" / model / "hf";
  auto made = kette::Tokenizer::from_json(kette::test::read_file(folder / "tokenizer.json"), "");
  kette::test::must(made.ok());
  return std::move(*made);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const kette::Tokenizer llama = load("llama"), qwen2 = load("qwen2");
  if (size == 0) return 0;
  const std::string_view text = kette::test::as_text(data, size).substr(1);
  const bool normalizes = (data[0] & 1) != 0, special = (data[0] & 2) != 0;
  const kette::Tokenizer& tokenizer = normalizes ? qwen2 : llama;
  const auto ids = tokenizer.encode(text, false, special);
  kette::test::must(ids.ok());
  const auto back = tokenizer.decode(*ids);
  kette::test::must(back.ok());
  if (!normalizes) kette::test::must(*back == text);
  if (normalizes && !special) kette::test::must(*back == kette::to_nfc(text));
  return 0;
}
