// A tokenizer.json, and behind a zero byte a tokenizer_config.json; where they load, a text encoded.
#include "fuzz/target.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = kette::test::as_text(data, size);
  const size_t zero = text.find('\0');
  const auto tokenizer =
      kette::Tokenizer::from_json(text.substr(0, zero), zero == text.npos ? "" : text.substr(zero + 1));
  if (!tokenizer.ok()) return 0;
  const auto ids = tokenizer->encode("Hello, w\xC3\xB6rld 123 <s>e\xCC\x81\xFF\n", true, true);
  if (!ids.ok()) return 0;
  for (const kette::Token id : *ids) kette::test::must(id >= 0 && static_cast<size_t>(id) < tokenizer->vocab_size());
  kette::test::must(tokenizer->decode(*ids).ok());
  return 0;
}
