// Byte-pair encoding of one word: bytes -> tokens, the best-ranked pair first, the leftmost of equals.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/pair_table.h"
#include "text/string_index.h"
#include "text/vocabulary.h"

namespace kette {

class Bpe {
 public:
  // Memory of one encode call, kept from word to word.
  struct Workspace {
    struct Symbol {
      int32_t token;
      int32_t previous;  // index of a symbol; -1 at the word's ends
      int32_t next;
      uint32_t rank;  // of the pair this symbol makes with the next; kNoRank if none, or if it was merged away
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> queue;  // rank << 32 | symbol
  };

  // `bytes` are the tokens' bytes by id (empty: never made by merging); both must outlive this object, in place.
  Status build(const Vocabulary& vocabulary, const std::vector<std::string_view>& bytes);

  // Appends the tokens of `word`, which is shorter than 2^31 bytes.
  Status encode(std::string_view word, Workspace& workspace, std::vector<int32_t>& out) const;

 private:
  Status encode_long(std::string_view word, Workspace& workspace, std::vector<int32_t>& out) const;
  Status missing_byte(unsigned char byte) const;

  PairTable pairs_;
  StringIndex words_;                       // for ignore_merges
  std::array<int32_t, 256> byte_tokens_{};  // -1 where the vocabulary has none
  int32_t unknown_ = -1;
  bool ignore_merges_ = false;
  bool fuse_unknown_ = false;
};

}  // namespace kette
