// The keys and values of one sequence, in pages of KETTE_KV_PAGE positions. A page holds, for each layer and key/value
// head, the keys of its positions and then their values. Pages are made as positions need them and may be shared with
// other caches: who writes to a shared one gets a copy of it first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "nn/kv_page.h"
#include "nn/kv_type.h"

namespace kette::nn {

// Pages that hold so many positions.
inline size_t kv_pages(size_t positions) { return (positions + KETTE_KV_PAGE - 1) / KETTE_KV_PAGE; }

struct KvShape {
  size_t layers, heads;
  size_t key_dim, value_dim;  // value_dim is 0 where values are made of the keys' rows (latent attention)
  size_t key_bytes(KvType type) const { return kv_row_bytes(type, key_dim); }
  size_t value_bytes(KvType type) const { return kv_row_bytes(type, value_dim); }
  bool operator==(const KvShape&) const = default;
};

class KvCache {
 public:
  // Bytes that a cache takes at most. kBudget if they overflow.
  static Result<size_t> size(const KvShape& shape, KvType type, size_t capacity);
  // Holds no pages yet. kBudget if the size overflows.
  static Result<KvCache> make(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator = nullptr);

  KvType type() const { return type_; }
  size_t capacity() const { return capacity_; }
  const KvShape& shape() const { return shape_; }
  size_t bytes() const { return pages_.size() * page_bytes(); }  // of the pages held, shared ones too
  size_t page_bytes() const { return shape_.layers * layer_bytes(); }

  // From here on positions [from, to) may be written: pages that are missing are made, shared ones are copied as far as
  // position `filled`. Throws std::bad_alloc; what the cache holds is then the same.
  void prepare(size_t from, size_t to, size_t filled);
  // Another cache of the same sequence: shares the pages of the first n positions.
  KvCache share(size_t n) const;
  // These become the pages from the given one on, of which the cache has all before. Throws std::bad_alloc before
  // anything has changed.
  void adopt(size_t first_page, std::span<const KvPage::Ref> pages);
  // Only the first n positions are still wanted. Pages behind them are kept for what comes, unless others hold them too.
  void drop_behind(size_t n);
  void clear() {
    pages_.clear();
    data_.clear();
  }

  // For kernels: see AttendArgs.
  const std::byte* const* pages() const { return data_.data(); }
  size_t key_at(size_t layer, size_t head) const {
    return layer * layer_bytes() + head * KETTE_KV_PAGE * (key_bytes_ + value_bytes_);
  }
  size_t value_at(size_t layer, size_t head) const { return key_at(layer, head) + KETTE_KV_PAGE * key_bytes_; }
  // Where a head's rows lie and what they are: all that AttendArgs says of the cache, from the first position on. Without
  // values the keys' rows are those of the values too.
  void describe(size_t layer, size_t head, kernels::AttendArgs& args) const;
  // Rows of key_dim and value_dim numbers of type(), followed by those of the page's next positions. To be written only
  // once prepared.
  std::byte* key(size_t layer, size_t head, size_t position) const {
    return pages_[position / KETTE_KV_PAGE].data() + key_at(layer, head) + position % KETTE_KV_PAGE * key_bytes_;
  }
  std::byte* value(size_t layer, size_t head, size_t position) const {
    return pages_[position / KETTE_KV_PAGE].data() + value_at(layer, head) + position % KETTE_KV_PAGE * value_bytes_;
  }
  const KvPage::Ref& page(size_t index) const { return pages_[index]; }

 private:
  KvCache(const KvShape& shape, KvType type, size_t capacity, Allocator* allocator)
      : shape_(shape),
        type_(type),
        key_bytes_(shape.key_bytes(type)),
        value_bytes_(shape.value_bytes(type)),
        capacity_(capacity),
        allocator_(allocator) {}
  size_t layer_bytes() const { return shape_.heads * KETTE_KV_PAGE * (key_bytes_ + value_bytes_); }
  KvPage::Ref copy(const KvPage::Ref& page, size_t positions) const;
  void reserve(size_t pages);

  KvShape shape_;
  KvType type_;
  size_t key_bytes_, value_bytes_;  // of a row
  size_t capacity_;
  Allocator* allocator_;
  std::vector<KvPage::Ref> pages_;
  std::vector<const std::byte*> data_;  // of each page
};

}  // namespace kette::nn
