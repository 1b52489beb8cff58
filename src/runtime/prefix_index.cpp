#include "runtime/prefix_index.h"

#include <algorithm>
#include <array>

#include "base/hash.h"

namespace kette {

// One for each whole page: a hash of the tokens to its end.
std::vector<PrefixIndex::Key> PrefixIndex::keys(const Kind& kind, std::span<const int32_t> tokens) {
  Hash128 hash;
  hash.number(static_cast<uint64_t>(kind.type));
  hash.text(kind.adapter);
  std::vector<Key> out;
  for (size_t end = KETTE_KV_PAGE; end <= tokens.size(); end += KETTE_KV_PAGE) {
    hash.bytes(std::as_bytes(tokens.subspan(end - KETTE_KV_PAGE, KETTE_KV_PAGE)));
    out.push_back({hash.high(), hash.low()});
  }
  return out;
}

PrefixIndex::Entry* PrefixIndex::at(const Key& key, uint64_t before, std::span<const int32_t> tokens) {
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.before != before || !std::ranges::equal(it->second.tokens, tokens))
    return nullptr;
  return &it->second;
}

std::vector<PrefixIndex::Page> PrefixIndex::find(const Kind& kind, std::span<const int32_t> tokens) {
  const std::vector<Key> keys = PrefixIndex::keys(kind, tokens);
  std::vector<Page> out;
  out.reserve(keys.size());
  const std::lock_guard lock(mutex_);
  const auto root = kinds_.find(kind);
  if (root == kinds_.end()) return out;
  uint64_t before = root->second;
  ++clock_;
  for (size_t i = 0; i < keys.size(); ++i) {
    Entry* entry = at(keys[i], before, tokens.subspan(i * KETTE_KV_PAGE, KETTE_KV_PAGE));
    if (entry == nullptr) break;
    entry->used = clock_;
    before = entry->id;
    out.push_back(entry->page);
  }
  return out;
}

void PrefixIndex::add(const Kind& kind, std::span<const int32_t> tokens, std::span<const Page> pages) {
  const std::vector<Key> keys = PrefixIndex::keys(kind, tokens.first(pages.size() * KETTE_KV_PAGE));
  std::vector<Entry> replaced;  // let go of once the lock is open: that may call the host
  replaced.reserve(pages.size());
  const std::lock_guard lock(mutex_);
  uint64_t before = kinds_.try_emplace(kind, last_id_ + 1).first->second;
  last_id_ = std::max(last_id_, before);
  ++clock_;
  for (size_t i = 0; i < pages.size(); ++i) {
    const auto own = tokens.subspan(i * KETTE_KV_PAGE, KETTE_KV_PAGE);
    Entry* entry = at(keys[i], before, own);
    if (entry == nullptr) {
      Entry made{last_id_ + 1, before, {own.begin(), own.end()}, pages[i], clock_, i};
      const auto [it, is_new] = entries_.try_emplace(keys[i], std::move(made));
      // One that another beginning left behind, or of other tokens with this hash.
      if (!is_new) replaced.push_back(std::exchange(it->second, std::move(made)));
      entry = &it->second;
      ++last_id_;
    } else if (entry->page.next < 0 && pages[i].next >= 0) {
      replaced.push_back({0, 0, {}, std::exchange(entry->page, pages[i]), 0, 0});
    }
    entry->used = clock_;
    before = entry->id;
  }
}

void PrefixIndex::trim() noexcept {
  while (trim_some()) {
  }
}

// Some pages at a time, so that others get their turn; true if there are more.
bool PrefixIndex::trim_some() noexcept {
  std::array<nn::KvPage::Ref, 32> dropped;  // let go of once the lock is open: that may call the host
  size_t count = 0;
  const std::lock_guard lock(mutex_);
  uint64_t bytes = kept();
  while (bytes > limit_ && count < dropped.size()) {
    // The one used longest ago; of one beginning its end, without which the rest is still of use.
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      const Entry& e = it->second;
      if (!e.page.page.alone()) continue;
      if (oldest == entries_.end() || e.used < oldest->second.used ||
          (e.used == oldest->second.used && e.depth > oldest->second.depth))
        oldest = it;
    }
    if (oldest == entries_.end()) return false;
    bytes -= std::min<uint64_t>(bytes, oldest->second.page.page.bytes());
    dropped[count++] = std::move(oldest->second.page.page);
    entries_.erase(oldest);
  }
  return bytes > limit_;
}

uint64_t PrefixIndex::kept() const {
  uint64_t bytes = 0;
  for (const auto& [key, entry] : entries_)
    if (entry.page.page.alone()) bytes += entry.page.page.bytes();
  return bytes;
}

void PrefixIndex::lower_limit(uint64_t limit) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (limit >= limit_) return;
    limit_ = limit;
  }
  trim();
}

uint64_t PrefixIndex::limit() const {
  const std::lock_guard lock(mutex_);
  return limit_;
}

uint64_t PrefixIndex::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept();
}

}  // namespace kette
