// The vocabulary as tries over the tokens' bytes, so that an automaton finds the tokens it allows without asking for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kette {

// Immutable once built: one for each vocabulary, shared by all grammars and threads.
class TokenIndex {
 public:
  // Tokens are [0, n). bytes_of gives a token's bytes, valid during the call; tokens that no grammar may write (control
  // tokens, unused ids) have none. `ends` end a turn: they are allowed where the grammar may end, and only there.
  static Result<std::shared_ptr<const TokenIndex>> build(size_t n,
                                                         const std::function<std::string_view(int32_t)>& bytes_of,
                                                         std::span<const int32_t> ends);

  size_t size() const { return size_; }
  size_t mask_words() const { return (size_ + 31) / 32; }
  std::string_view bytes_of(int32_t token) const;  // empty: none
  bool is_end(int32_t token) const;
  std::span<const int32_t> ends() const { return ends_; }

  // A trie in depth-first order. `skip` is the number of nodes below a node; its tokens are tokens[first, next's first).
  struct Node {
    uint32_t skip;
    uint32_t first;
    uint16_t depth;  // bytes from the root to this node's byte, at least 1
    uint8_t byte;
  };
  // Tokens that are alike: the plain ones of a slice are `characters` or fewer characters that JSON strings need not escape
  // (see PlainText), and nothing else. A state in which so many are free takes `mask` as it is.
  struct Slice {
    uint32_t characters;      // 0: tokens that are not plain
    std::vector<Node> nodes;  // and one more behind the last
    std::vector<int32_t> tokens;
    std::vector<uint32_t> mask;  // [mask_words]; empty for tokens that are not plain
  };
  std::span<const Slice> slices() const { return slices_; }

  size_t longest() const { return longest_; }  // bytes of a token

 private:
  TokenIndex() = default;
  void add_slice(std::vector<int32_t> tokens, uint32_t characters);

  size_t size_ = 0;
  size_t longest_ = 0;
  std::vector<char> bytes_;       // of all tokens
  std::vector<uint32_t> begins_;  // [size + 1]
  std::vector<int32_t> ends_;     // sorted
  std::vector<Slice> slices_;
};

}  // namespace kette
