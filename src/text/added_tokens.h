// Finds added tokens in text: in one linear pass the longest spelling at each place, leftmost first.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/pair_table.h"
#include "text/vocabulary.h"

namespace kette {

// Where a stretch of text ends (it begins at the end of the one before), and whether control tokens are parsed in it.
struct Stretch {
  size_t end;
  bool special;
};

// Offsets into a text shorter than 2^31 bytes.
struct AddedMatch {
  uint32_t begin;
  uint32_t end;
  int32_t id;
};

// Never parsed in plain text: special tokens, and those that a file calls ordinary but that have the looks of a control
// token (<|fim_prefix|>, <｜User｜>), as llama.cpp's converter judges too. <think> and <tool_call> are not among them.
bool is_control(const AddedToken& token);

class AddedTokens {
 public:
  Status build(std::vector<AddedToken> tokens);
  bool empty() const { return tokens_.empty(); }
  // Matches in order. `stretches` cover `text`; control tokens match only within one special stretch.
  std::vector<AddedMatch> find(std::string_view text, std::span<const Stretch> stretches) const;

 private:
  // A trie of the spellings read backwards, with Aho-Corasick's links: scanning the text backwards, the state at a place
  // knows every spelling that begins there.
  struct Node {
    int32_t fallback = 0;
    int32_t token = -1;     // the longest spelling that begins here: index into tokens_
    int32_t ordinary = -1;  // the longest one that is no control token
    int32_t shorter = 0;    // node of the next shorter spelling after `token`; 0: none
  };
  struct Hit {
    uint32_t begin;
    int32_t token;
  };
  int32_t step(int32_t node, unsigned char byte) const;
  std::vector<Hit> hits_backwards(std::string_view text, std::span<const Stretch> stretches) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::array<int32_t, 256> first_{};  // children of the root
  PairTable children_;                // (node, byte) -> node, for the other nodes
};

}  // namespace kette
