#include "text/bpe.h"

#include <algorithm>
#include <functional>

#include "file/printable.h"

namespace kette {
namespace {

// Up to here, looking at every pair for each merge is faster than a queue.
constexpr size_t kShortWord = 40;

}  // namespace

Status Bpe::build(const Vocabulary& vocabulary, const std::vector<std::string_view>& bytes) {
  unknown_ = vocabulary.unknown.value_or(-1);
  ignore_merges_ = vocabulary.ignore_merges;
  fuse_unknown_ = vocabulary.fuse_unknown;
  byte_tokens_.fill(-1);

  std::vector<std::string_view> strings;
  std::vector<int32_t> ids;
  for (size_t id = 0; id < bytes.size(); ++id) {
    if (bytes[id].empty()) continue;
    if (bytes[id].size() == 1) byte_tokens_[static_cast<unsigned char>(bytes[id][0])] = static_cast<int32_t>(id);
    strings.push_back(bytes[id]);
    ids.push_back(static_cast<int32_t>(id));
  }
  if (ignore_merges_ && !words_.build(strings, ids)) return error(Code::kCorrupt, "vocabulary: tokens made to collide");

  strings.clear();
  ids.clear();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.tokens[id].empty()) continue;
    strings.push_back(vocabulary.tokens[id]);
    ids.push_back(static_cast<int32_t>(id));
  }
  StringIndex spellings;
  if (!spellings.build(strings, ids)) return error(Code::kCorrupt, "vocabulary: tokens made to collide");

  pairs_.reserve(vocabulary.merges.size());
  std::string joined;
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const Merge& merge = vocabulary.merges[rank];
    joined.assign(merge.left).append(merge.right);
    const int32_t left = spellings.find(merge.left);
    const int32_t right = spellings.find(merge.right);
    const int32_t merged = spellings.find(joined);
    if (left < 0 || right < 0 || merged < 0) {
      const std::string& missing = left < 0 ? merge.left : right < 0 ? merge.right : joined;
      return error(Code::kCorrupt, "merge {}: token {} is not in the vocabulary", rank, printable(missing));
    }
    if (!pairs_.insert(left, right, static_cast<uint32_t>(rank), merged))
      return error(Code::kCorrupt, "merges: pairs made to collide");
  }
  return {};
}

Status Bpe::missing_byte(unsigned char byte) const {
  return error(Code::kUnsupported, "text has byte 0x{:02X}, for which the vocabulary has no token", byte);
}

Status Bpe::encode(std::string_view word, Workspace& workspace, std::vector<int32_t>& out) const {
  if (ignore_merges_) {
    if (const int32_t token = words_.find(word); token >= 0) {
      out.push_back(token);
      return {};
    }
  }
  if (word.size() > kShortWord) return encode_long(word, workspace, out);

  int32_t tokens[kShortWord];
  uint32_t ranks[kShortWord];  // of the pair (i, i + 1)
  int32_t merged[kShortWord];
  size_t count = 0;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    const int32_t token = byte_tokens_[byte] >= 0 ? byte_tokens_[byte] : unknown_;
    if (token < 0) return missing_byte(byte);
    if (fuse_unknown_ && byte_tokens_[byte] < 0 && count > 0 && tokens[count - 1] == unknown_) continue;
    tokens[count++] = token;
  }
  const auto rank_pair = [&](size_t i) {
    const PairTable::Found found = i + 1 < count ? pairs_.find(tokens[i], tokens[i + 1]) : PairTable::Found{};
    ranks[i] = found.rank;
    merged[i] = found.merged;
  };
  for (size_t i = 0; i < count; ++i) rank_pair(i);
  while (count > 1) {
    const size_t best = static_cast<size_t>(std::min_element(ranks, ranks + count - 1) - ranks);
    if (ranks[best] == kNoRank) break;
    tokens[best] = merged[best];
    std::copy(tokens + best + 2, tokens + count, tokens + best + 1);
    std::copy(ranks + best + 2, ranks + count, ranks + best + 1);
    std::copy(merged + best + 2, merged + count, merged + best + 1);
    --count;
    rank_pair(best);
    if (best > 0) rank_pair(best - 1);
  }
  out.insert(out.end(), tokens, tokens + count);
  return {};
}

Status Bpe::encode_long(std::string_view word, Workspace& workspace, std::vector<int32_t>& out) const {
  auto& symbols = workspace.symbols;
  auto& queue = workspace.queue;
  symbols.clear();
  queue.clear();
  symbols.reserve(word.size());
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    const int32_t token = byte_tokens_[byte] >= 0 ? byte_tokens_[byte] : unknown_;
    if (token < 0) return missing_byte(byte);
    if (fuse_unknown_ && byte_tokens_[byte] < 0 && !symbols.empty() && symbols.back().token == unknown_) continue;
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({token, index - 1, index + 1, kNoRank});
  }
  symbols.back().next = -1;

  const auto rank_pair = [&](int32_t index) {
    Workspace::Symbol& symbol = symbols[static_cast<size_t>(index)];
    symbol.rank =
        symbol.next < 0 ? kNoRank : pairs_.find(symbol.token, symbols[static_cast<size_t>(symbol.next)].token).rank;
    if (symbol.rank == kNoRank) return false;
    queue.push_back(static_cast<uint64_t>(symbol.rank) << 32 | static_cast<uint32_t>(index));
    return true;
  };
  queue.reserve(symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i) rank_pair(static_cast<int32_t>(i));
  std::make_heap(queue.begin(), queue.end(), std::greater<>());

  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const auto rank = static_cast<uint32_t>(queue.back() >> 32);
    const auto index = static_cast<int32_t>(queue.back() & UINT32_MAX);
    queue.pop_back();
    Workspace::Symbol& left = symbols[static_cast<size_t>(index)];
    if (left.rank != rank) continue;  // one of the two has merged with another since
    Workspace::Symbol& right = symbols[static_cast<size_t>(left.next)];
    left.token = pairs_.find(left.token, right.token).merged;
    left.next = right.next;
    right.rank = kNoRank;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = index;
    if (rank_pair(index)) std::push_heap(queue.begin(), queue.end(), std::greater<>());
    if (left.previous >= 0 && rank_pair(left.previous)) std::push_heap(queue.begin(), queue.end(), std::greater<>());
  }
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    out.push_back(symbols[static_cast<size_t>(i)].token);
  return {};
}

}  // namespace kette
