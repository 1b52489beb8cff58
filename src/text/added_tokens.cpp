#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace kette {
namespace {

// Far beyond real files, which have a few thousand added tokens of a few dozen bytes.
constexpr size_t kMaxSpelling = 4096;
constexpr size_t kMaxSpellings = 16u << 20;

bool starts_and_ends(std::string_view text, std::string_view start, std::string_view end) {
  return text.size() >= start.size() + end.size() && text.starts_with(start) && text.ends_with(end);
}

size_t white_space_begin(std::string_view text, size_t from, size_t end) {
  while (end > from) {
    const size_t last = previous_code_point(text, end);
    if (last < from || (classes_of(decode_utf8(text, last).value) & kWhiteSpace) == 0) break;
    end = last;
  }
  return end;
}

size_t white_space_end(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const CodePoint c = decode_utf8(text, begin);
    if ((classes_of(c.value) & kWhiteSpace) == 0) break;
    begin += c.bytes;
  }
  return begin;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const bool word_before = begin > 0 && is_word_character(decode_utf8(text, previous_code_point(text, begin)).value);
  const bool word_after = end < text.size() && is_word_character(decode_utf8(text, end).value);
  return !word_before && !word_after;
}

}  // namespace

bool is_control(const AddedToken& token) {
  return token.special || starts_and_ends(token.content, "<|", "|>") || starts_and_ends(token.content, "<｜", "｜>");
}

Status AddedTokens::build(std::vector<AddedToken> tokens) {
  std::erase_if(tokens, [](const AddedToken& token) { return token.content.empty(); });
  tokens_ = std::move(tokens);
  size_t bytes = 0;
  for (const AddedToken& token : tokens_) {
    bytes += token.content.size();
    if (token.content.size() > kMaxSpelling)
      return error(Code::kUnsupported, "added token {}: {} bytes, at most {}", token.id, token.content.size(),
                   kMaxSpelling);
  }
  if (bytes > kMaxSpellings)
    return error(Code::kUnsupported, "added tokens: {} bytes, at most {}", bytes, kMaxSpellings);

  first_.fill(0);
  nodes_.assign(1, Node{});
  children_.reserve(bytes);
  std::vector<int32_t> parent{0};
  std::vector<unsigned char> byte_of{0};
  std::vector<std::vector<int32_t>> by_depth;
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const std::string& content = tokens_[t].content;
    int32_t node = 0;
    for (size_t depth = 0; depth < content.size(); ++depth) {
      const auto byte = static_cast<unsigned char>(content[content.size() - 1 - depth]);
      int32_t child = node == 0 ? first_[byte] : children_.find(node, byte).merged;
      if (child <= 0) {
        child = static_cast<int32_t>(nodes_.size());
        nodes_.emplace_back();
        parent.push_back(node);
        byte_of.push_back(byte);
        if (by_depth.size() <= depth) by_depth.resize(depth + 1);
        by_depth[depth].push_back(child);
        if (node == 0) {
          first_[byte] = child;
        } else if (!children_.insert(node, byte, 0, child)) {
          return error(Code::kCorrupt, "added tokens: spellings made to collide");
        }
      }
      node = child;
    }
    nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(t);
  }

  for (const auto& level : by_depth) {
    for (const int32_t index : level) {
      Node& node = nodes_[static_cast<size_t>(index)];
      const int32_t up = parent[static_cast<size_t>(index)];
      node.fallback = up == 0 ? 0 : step(nodes_[static_cast<size_t>(up)].fallback, byte_of[static_cast<size_t>(index)]);
      const Node& fallback = nodes_[static_cast<size_t>(node.fallback)];
      if (node.token < 0) {
        node.token = fallback.token;
        node.ordinary = fallback.ordinary;
        node.shorter = fallback.shorter;
      } else {
        const bool control = is_control(tokens_[static_cast<size_t>(node.token)]);
        node.ordinary = control ? fallback.ordinary : node.token;
        node.shorter = node.fallback;
      }
    }
  }
  return {};
}

int32_t AddedTokens::step(int32_t node, unsigned char byte) const {
  while (node != 0) {
    if (const int32_t child = children_.find(node, byte).merged; child > 0) return child;
    node = nodes_[static_cast<size_t>(node)].fallback;
  }
  return first_[byte];
}

std::vector<AddedTokens::Hit> AddedTokens::hits_backwards(std::string_view text,
                                                          std::span<const Stretch> stretches) const {
  std::vector<Hit> hits;
  int32_t state = 0;
  size_t stretch = stretches.size();
  size_t stretch_begin = text.size();
  for (size_t i = text.size(); i-- > 0;) {
    const auto byte = static_cast<unsigned char>(text[i]);
    state = state == 0 ? first_[byte] : step(state, byte);
    while (i < stretch_begin) {
      --stretch;
      stretch_begin = stretch == 0 ? 0 : stretches[stretch - 1].end;
    }
    const Node* node = &nodes_[static_cast<size_t>(state)];
    if (node->token < 0) continue;
    int32_t token = stretches[stretch].special ? node->token : node->ordinary;
    const auto leaves_stretch = [&] {
      const AddedToken& added = tokens_[static_cast<size_t>(token)];
      return is_control(added) && i + added.content.size() > stretches[stretch].end;
    };
    while (token >= 0 && leaves_stretch()) {
      node = &nodes_[static_cast<size_t>(node->shorter)];
      token = node->token;
    }
    if (token >= 0) hits.push_back({static_cast<uint32_t>(i), token});
  }
  return hits;
}

std::vector<AddedMatch> AddedTokens::find(std::string_view text, std::span<const Stretch> stretches) const {
  std::vector<AddedMatch> matches;
  if (tokens_.empty() || text.empty()) return matches;
  const std::vector<Hit> hits = hits_backwards(text, stretches);
  size_t searched = 0;  // the search goes on behind every spelling found, also one that is then discarded
  size_t taken = 0;     // end of the last match with the white space it took
  for (auto hit = hits.rbegin(); hit != hits.rend(); ++hit) {
    if (hit->begin < searched) continue;
    const AddedToken& token = tokens_[static_cast<size_t>(hit->token)];
    size_t begin = hit->begin;
    size_t end = begin + token.content.size();
    searched = end;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip && begin > taken) begin = white_space_begin(text, taken, begin);
    if (token.rstrip) end = white_space_end(text, end);
    begin = std::max(begin, taken);
    taken = std::max(end, taken);
    matches.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(taken), token.id});
  }
  return matches;
}

}  // namespace kette
