// The small parts of tokenizer.json, and tokenizer_config.json -> fields of Vocabulary. Kinds that Kette does not
// reproduce exactly are refused by name.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/status.h"
#include "text/vocabulary.h"

namespace kette {

struct TokenizerParts {
  nlohmann::json model;  // its scalar fields only
  nlohmann::json normalizer;
  nlohmann::json pre_tokenizer;
  nlohmann::json post_processor;
  nlohmann::json decoder;

  // The part of that name; nullptr if it is none of these (or the model).
  nlohmann::json* find(std::string_view name);
};

Status apply_parts(const TokenizerParts& parts, Vocabulary& vocabulary);

// `text` may be empty: then EOS is looked for among the added tokens.
Status apply_config(std::string_view text, Vocabulary& vocabulary);

}  // namespace kette
