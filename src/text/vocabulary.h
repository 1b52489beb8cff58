// What a byte-level BPE tokenizer is made of, whichever file it came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "file/gguf.h"
#include "text/pretokenizer.h"

namespace kette {

// A token that is found in text by its spelling, before and instead of merging.
struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;      // a control token: left out of an answer's text
  bool normalized = false;   // searched in the normalized text rather than in the raw one
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool single_word = false;  // only where no word character touches it
};

struct Merge {
  std::string left;
  std::string right;
};

struct Vocabulary {
  std::vector<std::string>
      tokens;                 // the model's spellings in the byte-level alphabet, by id; empty where there is none
  std::vector<Merge> merges;  // best first
  std::vector<AddedToken> added;
  std::vector<SplitStage> split;
  bool nfc = false;            // text is brought to NFC first
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  bool fuse_unknown = false;   // neighbouring unknown bytes are one unknown token
  std::optional<int32_t> unknown;
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
  std::vector<int32_t> end_of_turn;  // end tokens that the file names besides EOS
  std::vector<int32_t> prefix;       // put before the text on request
  std::vector<int32_t> suffix;       // and after it
};

// Ids from a file are below this, so that a hostile one costs no more than its tokens do.
inline constexpr int64_t kMaxTokenId = (1 << 24) - 1;

Result<Vocabulary> vocabulary_from_gguf(const Gguf& gguf);
Result<Vocabulary> vocabulary_from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json);

}  // namespace kette
