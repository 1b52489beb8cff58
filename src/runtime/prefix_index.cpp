#include "runtime/prefix_index.h"

#include <algorithm>
#include <array>

#include "base/hash.h"

namespace kette {
namespace {

// Between two chances for others.
constexpr size_t kLooks = 256, kDrops = 32;

}  // namespace

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

PrefixIndex::Item* PrefixIndex::at(const Key& key, uint64_t before, std::span<const int32_t> tokens) {
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.before != before || !std::ranges::equal(it->second.tokens, tokens))
    return nullptr;
  return &*it;
}

// Out of idle_ or in_use_; the entry is then in neither.
PrefixIndex::Uses::node_type PrefixIndex::take_use(Entry& entry) noexcept {
  if (!entry.idle) return in_use_.extract(entry.use);
  idle_bytes_ -= entry.page.page.bytes();
  return idle_.extract(entry.use);
}

void PrefixIndex::use_now(Item& item, Uses::node_type use, size_t depth) noexcept {
  use.key() = {clock_, depth};
  use.mapped() = &item;
  item.second.idle = false;
  item.second.use = in_use_.insert(std::move(use)).position;
}

// With an entry less.
void PrefixIndex::leave(Kinds::iterator kind) noexcept {
  if (--kind->second.entries == 0) kinds_.erase(kind);
}

std::vector<PrefixIndex::Page> PrefixIndex::find(const Kind& kind, std::span<const int32_t> tokens) {
  const std::vector<Key> keys = PrefixIndex::keys(kind, tokens);
  std::vector<Page> out;
  out.reserve(keys.size());
  const std::lock_guard lock(mutex_);
  const auto root = kinds_.find(kind);
  if (root == kinds_.end()) return out;
  uint64_t before = root->second.id;
  ++clock_;
  for (size_t i = 0; i < keys.size(); ++i) {
    Item* item = at(keys[i], before, tokens.subspan(i * KETTE_KV_PAGE, KETTE_KV_PAGE));
    if (item == nullptr) break;
    use_now(*item, take_use(item->second), i);
    before = item->second.id;
    out.push_back(item->second.page);
  }
  return out;
}

void PrefixIndex::add(const Kind& kind, std::span<const int32_t> tokens, std::span<const Page> pages) {
  const std::vector<Key> keys = PrefixIndex::keys(kind, tokens.first(pages.size() * KETTE_KV_PAGE));
  std::vector<Page> replaced;  // let go of once the lock is open: that may call the host
  replaced.reserve(pages.size());
  const std::lock_guard lock(mutex_);
  const auto root = kinds_.try_emplace(kind, Known{last_id_ + 1}).first;
  ++root->second.entries;  // so that it stays while this goes on
  struct Leave {
    PrefixIndex* index;
    Kinds::iterator kind;
    ~Leave() { index->leave(kind); }
  } const leave_root{this, root};
  uint64_t before = root->second.id;
  last_id_ = std::max(last_id_, before);
  ++clock_;
  for (size_t i = 0; i < pages.size(); ++i) {
    const auto own = tokens.subspan(i * KETTE_KV_PAGE, KETTE_KV_PAGE);
    Item* item = at(keys[i], before, own);
    if (item == nullptr) {
      Uses made;
      made.emplace(Use{}, nullptr);
      Entry entry{last_id_ + 1, before, {own.begin(), own.end()}, pages[i], root, {}};
      const auto [it, is_new] = entries_.try_emplace(keys[i], std::move(entry));
      item = &*it;
      // From here on nothing fails.
      ++last_id_;
      ++root->second.entries;
      if (!is_new) {  // one that another beginning left behind, or of other tokens with this hash
        take_use(item->second);
        std::swap(item->second, entry);
        replaced.push_back(std::move(entry.page));
        leave(entry.kind);
      }
      use_now(*item, made.extract(made.begin()), i);
    } else {
      Uses::node_type use = take_use(item->second);
      if (item->second.page.next < 0 && pages[i].next >= 0)
        replaced.push_back(std::exchange(item->second.page, pages[i]));
      use_now(*item, std::move(use), i);
    }
    before = item->second.id;
  }
}

void PrefixIndex::trim() noexcept {
  Use last{};
  uint64_t until = 0;
  {
    const std::lock_guard lock(mutex_);
    until = clock_;
  }
  while (look_at_some(last, until)) {
  }
  while (drop_some()) {
  }
}

// Which pages nobody else holds any more, of those in use after `last`; true if there are more. What is used meanwhile,
// later than `until`, is for the trim() after that.
bool PrefixIndex::look_at_some(Use& last, uint64_t until) noexcept {
  const std::lock_guard lock(mutex_);
  auto it = in_use_.upper_bound(last);
  for (size_t i = 0; i < kLooks; ++i) {
    if (it == in_use_.end() || it->first.used > until) return false;
    last = it->first;
    Entry& entry = it->second->second;
    const auto next = std::next(it);
    if (entry.page.page.alone()) {
      entry.use = idle_.insert(in_use_.extract(it)).position;
      entry.idle = true;
      idle_bytes_ += entry.page.page.bytes();
    }
    it = next;
  }
  return true;
}

// Some pages beyond the limit; true if there are more.
bool PrefixIndex::drop_some() noexcept {
  std::array<nn::KvPage::Ref, kDrops> dropped;  // let go of once the lock is open: that may call the host
  const std::lock_guard lock(mutex_);
  for (nn::KvPage::Ref& page : dropped) {
    if (idle_bytes_ <= limit_) return false;
    Item& item = *idle_.begin()->second;
    take_use(item.second);
    page = std::move(item.second.page.page);
    leave(item.second.kind);
    const Key key = item.first;
    entries_.erase(key);
  }
  return true;
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
  uint64_t bytes = idle_bytes_;
  for (const auto& [use, item] : in_use_)
    if (item->second.page.page.alone()) bytes += item->second.page.page.bytes();
  return bytes;
}

size_t PrefixIndex::kinds() const {
  const std::lock_guard lock(mutex_);
  return kinds_.size();
}

}  // namespace kette
