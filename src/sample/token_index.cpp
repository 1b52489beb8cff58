#include "sample/token_index.h"

#include <algorithm>
#include <numeric>

#include "sample/plain_text.h"

namespace kette {
namespace {

// The slices of plain tokens: up to so many characters. The last has what is longer.
constexpr uint32_t kSliceCharacters[] = {1, 2, 4, 8, 16, UINT32_MAX};
constexpr size_t kLongestToken = UINT16_MAX;

}  // namespace

std::string_view TokenIndex::bytes_of(int32_t token) const {
  if (token < 0 || static_cast<size_t>(token) >= size_) return {};
  const auto t = static_cast<size_t>(token);
  return std::string_view(bytes_.data(), bytes_.size()).substr(begins_[t], begins_[t + 1] - begins_[t]);
}

bool TokenIndex::is_end(int32_t token) const { return std::binary_search(ends_.begin(), ends_.end(), token); }

Result<std::shared_ptr<const TokenIndex>> TokenIndex::build(size_t n,
                                                            const std::function<std::string_view(int32_t)>& bytes_of,
                                                            std::span<const int32_t> ends) {
  if (n > INT32_MAX) return error(Code::kInvalidArgument, "token index: {} tokens, expected at most {}", n, INT32_MAX);
  std::shared_ptr<TokenIndex> index(new TokenIndex);
  index->size_ = n;
  index->ends_.assign(ends.begin(), ends.end());
  std::sort(index->ends_.begin(), index->ends_.end());
  index->ends_.erase(std::unique(index->ends_.begin(), index->ends_.end()), index->ends_.end());
  for (const int32_t end : ends)
    if (end < 0 || static_cast<size_t>(end) >= n)
      return error(Code::kInvalidArgument, "token index: end token {}, expected 0 to {}", end, n - 1);
  std::vector<std::vector<int32_t>> members(std::size(kSliceCharacters) + 1);
  std::vector<uint32_t> longest(members.size());  // characters
  index->begins_.reserve(n + 1);
  index->begins_.push_back(0);
  for (size_t t = 0; t < n; ++t) {
    const auto token = static_cast<int32_t>(t);
    const std::string_view bytes = index->is_end(token) ? std::string_view() : bytes_of(token);
    if (index->bytes_.size() + bytes.size() > UINT32_MAX)
      return error(Code::kUnsupported, "token index: over 4 GiB of tokens");
    if (bytes.size() > kLongestToken)
      return error(Code::kUnsupported, "token index: token {} has {} bytes, expected at most {}", t, bytes.size(),
                   kLongestToken);
    index->bytes_.insert(index->bytes_.end(), bytes.begin(), bytes.end());
    index->begins_.push_back(static_cast<uint32_t>(index->bytes_.size()));
    if (bytes.empty()) continue;
    const uint32_t characters = count_plain(bytes);
    size_t slice = 0;
    if (characters > 0)
      for (slice = 1; characters > kSliceCharacters[slice - 1];) ++slice;
    members[slice].push_back(token);
    longest[slice] = std::max(longest[slice], characters);
  }
  for (size_t s = 0; s < members.size(); ++s)
    if (!members[s].empty()) index->add_slice(std::move(members[s]), longest[s]);
  return std::shared_ptr<const TokenIndex>(std::move(index));
}

void TokenIndex::add_slice(std::vector<int32_t> tokens, uint32_t characters) {
  Slice slice{.characters = characters, .nodes = {}, .tokens = std::move(tokens), .mask = {}};
  std::sort(slice.tokens.begin(), slice.tokens.end(), [&](int32_t a, int32_t b) {
    const int order = bytes_of(a).compare(bytes_of(b));
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<uint32_t> path;  // the node of each byte of the token before
  std::string_view before;
  for (uint32_t i = 0; i < slice.tokens.size(); ++i) {
    const std::string_view bytes = bytes_of(slice.tokens[i]);
    const auto same = static_cast<size_t>(
        std::mismatch(before.begin(), before.end(), bytes.begin(), bytes.end()).first - before.begin());
    // Nodes beyond what is the same are done: what lies below them is all there.
    for (size_t d = same; d < path.size(); ++d)
      slice.nodes[path[d]].skip = static_cast<uint32_t>(slice.nodes.size()) - path[d] - 1;
    path.resize(same);
    for (size_t d = same; d < bytes.size(); ++d) {
      path.push_back(static_cast<uint32_t>(slice.nodes.size()));
      slice.nodes.push_back({0, i, static_cast<uint16_t>(d + 1), static_cast<uint8_t>(bytes[d])});
    }
    before = bytes;
  }
  for (const uint32_t node : path) slice.nodes[node].skip = static_cast<uint32_t>(slice.nodes.size()) - node - 1;
  for (const Node& node : slice.nodes) longest_ = std::max<size_t>(longest_, node.depth);
  slice.nodes.push_back({0, static_cast<uint32_t>(slice.tokens.size()), 0, 0});
  if (characters > 0) {
    slice.mask.resize(mask_words());
    for (const int32_t t : slice.tokens) slice.mask[static_cast<size_t>(t) / 32] |= 1u << (t % 32);
  }
  slices_.push_back(std::move(slice));
}

}  // namespace kette
