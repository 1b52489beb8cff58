// Text <-> tokens: byte-level BPE with the pre-tokenizers of the models Kette runs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "file/gguf.h"

namespace kette {

using Token = int32_t;

// A stretch of a prompt. In `special` stretches, spellings of special tokens ("<|im_end|>") become those tokens; in
// plain ones they stay text. (A chat template's own literals are special, what a user typed is plain.)
struct TextSpan {
  std::string_view text;
  bool special = false;
};

// Immutable once made; every method is safe to call concurrently.
class Tokenizer {
 public:
  static Result<Tokenizer> from_gguf(const Gguf& gguf);
  // tokenizer.json, and tokenizer_config.json where there is one (empty otherwise).
  static Result<Tokenizer> from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json);

  // add_special: put the model's BOS (EOS) where its tokenizer is set to add one.
  // Neighbouring spans of one kind are joined before pre-tokenization.
  Result<std::vector<Token>> encode(std::span<const TextSpan> spans, bool add_special) const;
  // parse_special: the whole text is a special stretch.
  Result<std::vector<Token>> encode(std::string_view text, bool add_special, bool parse_special) const;

  // The bytes of the tokens. Bytes need not be whole UTF-8. kInvalidArgument for an id outside the vocabulary.
  Result<std::string> decode(std::span<const Token> tokens, bool skip_special = false) const;
  // One token's bytes; empty for ids outside the vocabulary.
  std::string_view bytes_of(Token token) const;

  size_t vocab_size() const;           // ids are [0, vocab_size)
  bool is_special(Token token) const;  // a control token: never part of an answer's text
  std::optional<Token> find_special(std::string_view spelling) const;
  std::optional<Token> bos() const;
  std::optional<Token> eos() const;
  // All tokens that end a turn: EOS, and end-of-turn tokens such as <|im_end|>, <|eot_id|> where the vocabulary has them.
  std::span<const Token> end_of_generation() const;
  bool adds_bos() const;

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kette
