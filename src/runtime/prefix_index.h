// Pages of the KV caches of one model's sessions, by the tokens that made them: a session that begins as another one did
// takes its pages instead of evaluating the same tokens again.
//
// A page is found by a hash of all tokens up to its end and counts only if they are the same tokens: each entry knows its
// own and which entry comes before it. The index keeps a page as long as a session holds it, and of the others the ones
// used last, up to a limit. A page in the index is never written to again, for it is not its session's alone.
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "nn/kv_cache.h"

namespace kette {

class PrefixIndex {
 public:
  // What a page's contents depend on beside the tokens (and the model and its mode, which are the index's).
  struct Kind {
    nn::KvType type;
    std::string adapter;
    auto operator<=>(const Kind&) const = default;
  };
  struct Page {
    nn::KvPage::Ref page;
    // The token that follows, where the prediction module's layer is filled: its last position was made with it. Else -1.
    int32_t next = -1;
  };

  explicit PrefixIndex(uint64_t limit) : limit_(limit) {}

  // The pages of the longest known beginning of `tokens`, whole pages only.
  std::vector<Page> find(const Kind& kind, std::span<const int32_t> tokens);
  // `pages` hold the beginning of `tokens`, and are not written to any more. What is known already stays as it is, unless
  // the module's layer is new.
  void add(const Kind& kind, std::span<const int32_t> tokens, std::span<const Page> pages);
  // After sessions let go of pages: of those that nobody else holds, only what the limit allows stays.
  void trim() noexcept;
  // A limit above this one becomes this one.
  void lower_limit(uint64_t limit) noexcept;
  uint64_t limit() const;
  // Of pages that nobody else holds.
  uint64_t kept_bytes() const;

 private:
  struct Entry {
    uint64_t id, before;  // `before`: the id of the page before, or of the kind
    std::vector<int32_t> tokens;
    Page page;
    uint64_t used;  // when, by the clock
    size_t depth;   // pages before it
  };
  struct Key {
    uint64_t high, low;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key.low; }
  };
  using Entries = std::unordered_map<Key, Entry, KeyHash>;

  static std::vector<Key> keys(const Kind& kind, std::span<const int32_t> tokens);
  bool trim_some() noexcept;
  uint64_t kept() const;
  Entry* at(const Key& key, uint64_t before, std::span<const int32_t> tokens);

  mutable std::mutex mutex_;
  uint64_t limit_;
  uint64_t clock_ = 0, last_id_ = 0;
  std::map<Kind, uint64_t> kinds_;  // ids that stand for no page, before the first
  Entries entries_;
};

}  // namespace kette
