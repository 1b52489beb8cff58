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
  // After sessions let go of pages: of those that nobody else holds, only what the limit allows stays. Looks at the pages
  // in use and at what it drops, not at the others, and lets others in between.
  void trim() noexcept;
  // A limit above this one becomes this one.
  void lower_limit(uint64_t limit) noexcept;
  uint64_t limit() const;
  // Of pages that nobody else holds.
  uint64_t kept_bytes() const;
  // Kinds of which there are pages.
  size_t kinds() const;

 private:
  struct Known {
    uint64_t id;         // stands for no page, before the first
    size_t entries = 0;  // with the last the kind goes
  };
  using Kinds = std::map<Kind, Known>;
  struct Key {
    uint64_t high, low;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key.low; }
  };
  // In the order of dropping: by when it was used and, of one beginning, from its end, without which the rest is still of
  // use. No two are equal: the clock goes on with each find() and add().
  struct Use {
    uint64_t used;
    size_t depth;  // pages before it
    bool operator<(const Use& o) const { return used != o.used ? used < o.used : depth > o.depth; }
  };
  struct Entry;
  using Item = std::pair<const Key, Entry>;
  using Uses = std::map<Use, Item*>;
  struct Entry {
    uint64_t id, before;  // `before`: the id of the page before, or of the kind
    std::vector<int32_t> tokens;
    Page page;
    Kinds::iterator kind;
    Uses::iterator use;  // in idle_ or in_use_
    bool idle = false;
  };

  static std::vector<Key> keys(const Kind& kind, std::span<const int32_t> tokens);
  Item* at(const Key& key, uint64_t before, std::span<const int32_t> tokens);
  Uses::node_type take_use(Entry& entry) noexcept;
  void use_now(Item& item, Uses::node_type use, size_t depth) noexcept;
  void leave(Kinds::iterator kind) noexcept;
  bool look_at_some(Use& last, uint64_t until) noexcept;
  bool drop_some() noexcept;

  mutable std::mutex mutex_;
  uint64_t limit_;
  uint64_t clock_ = 0, last_id_ = 0;
  Kinds kinds_;
  std::unordered_map<Key, Entry, KeyHash> entries_;
  // Every entry is in one of them. Nobody else holds an idle one's page, or can get hold of it but through find(), which
  // makes it one in use. Of those in use some may not be any more; trim() looks.
  Uses in_use_, idle_;
  uint64_t idle_bytes_ = 0;
};

}  // namespace kette
