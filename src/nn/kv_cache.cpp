#include "nn/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace kette::nn {

static_assert(KETTE_KV_PAGE % KETTE_ATTEND_BLOCK == 0);

Result<size_t> KvCache::size(const KvShape& shape, KvType type, size_t capacity) {
  auto bytes = checked_mul(shape.layers * shape.heads, shape.key_bytes(type) + shape.value_bytes(type));
  const auto positions = checked_align_up(capacity, KETTE_KV_PAGE);
  if (bytes && positions) bytes = checked_mul(*bytes, *positions);
  if (!bytes || !positions || *bytes > PTRDIFF_MAX)
    return error(Code::kBudget, "KV cache of {} positions: its size does not fit an address", capacity);
  return *bytes;
}

Result<KvCache> KvCache::make(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator) {
  KETTE_TRY(size(shape, type, capacity).status());
  return KvCache(shape, type, capacity, allocator);
}

void KvCache::prepare(size_t from, size_t to, size_t filled) {
  if (from >= to) return;
  reserve(kv_pages(to));
  for (size_t i = std::min(from / KETTE_KV_PAGE, pages_.size()); i < kv_pages(to); ++i) {
    if (i == pages_.size()) {
      pages_.push_back(KvPage::make(page_bytes(), allocator_));
      data_.push_back(pages_.back().data());
    } else if (!pages_[i].alone()) {
      const size_t first = i * KETTE_KV_PAGE;
      pages_[i] = copy(pages_[i], filled > first ? std::min<size_t>(filled - first, KETTE_KV_PAGE) : 0);
      data_[i] = pages_[i].data();
    }
  }
}

KvPage::Ref KvCache::copy(const KvPage::Ref& page, size_t positions) const {
  KvPage::Ref out = KvPage::make(page_bytes(), allocator_);
  if (positions == KETTE_KV_PAGE) {
    std::memcpy(out.data(), page.data(), page_bytes());
    return out;
  }
  const auto rows = [&](size_t at, size_t row_bytes) {
    std::memcpy(out.data() + at, page.data() + at, positions * row_bytes);
  };
  for (size_t layer = 0; layer < shape_.layers; ++layer)
    for (size_t head = 0; head < shape_.heads; ++head) {
      rows(key_at(layer, head), key_bytes_);
      rows(value_at(layer, head), value_bytes_);
    }
  return out;
}

// So that adding up to so many cannot fail.
void KvCache::reserve(size_t pages) {
  if (pages <= pages_.capacity() && pages <= data_.capacity()) return;
  const size_t most = std::max(pages, 2 * pages_.size());
  pages_.reserve(most);
  data_.reserve(most);
}

KvCache KvCache::share(size_t n) const {
  KvCache out(shape_, type_, capacity_, allocator_);
  out.adopt(0, std::span(pages_).first(kv_pages(n)));
  return out;
}

void KvCache::adopt(size_t first_page, std::span<const KvPage::Ref> pages) {
  reserve(first_page + pages.size());
  for (size_t i = first_page; const KvPage::Ref& page : pages) {
    if (i == pages_.size()) {
      pages_.push_back(page);
      data_.push_back(page.data());
    } else {
      pages_[i] = page;
      data_[i] = page.data();
    }
    ++i;
  }
}

void KvCache::drop_behind(size_t n) {
  size_t kept = std::min(kv_pages(n), pages_.size());
  for (size_t i = kept; i < pages_.size(); ++i) {
    if (!pages_[i].alone()) continue;
    if (i != kept) pages_[kept] = std::move(pages_[i]);
    data_[kept] = pages_[kept].data();
    ++kept;
  }
  pages_.resize(kept);
  data_.resize(kept);
}

void KvCache::describe(size_t layer, size_t head, kernels::AttendArgs& args) const {
  const bool apart = shape_.value_dim > 0;
  args.pages = pages();
  args.key_at = key_at(layer, head);
  args.value_at = apart ? value_at(layer, head) : args.key_at;
  args.key_stride = key_bytes_;
  args.value_stride = apart ? value_bytes_ : key_bytes_;
  args.key_dim = shape_.key_dim;
  args.value_dim = shape_.value_dim;
  set_type(args, type_);
}

}  // namespace kette::nn
