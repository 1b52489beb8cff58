// A stretch of KETTE_KV_PAGE positions of the KV cache, all layers and heads, owned by all who hold it: sessions that
// began alike, the index of known prefixes. Who is its only owner may write to it; nobody else.
#pragma once

#include <atomic>
#include <utility>

#include "base/aligned_buffer.h"

namespace kette::nn {

class KvPage {
 public:
  // A reference, counted.
  class Ref {
   public:
    Ref() = default;
    Ref(const Ref& other) : page_(other.page_) {
      if (page_ != nullptr) page_->owners_.fetch_add(1, std::memory_order_relaxed);
    }
    Ref(Ref&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
      std::swap(page_, other.page_);
      return *this;
    }
    ~Ref() {
      if (page_ != nullptr && page_->owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete page_;
    }

    explicit operator bool() const { return page_ != nullptr; }
    bool operator==(const Ref& other) const { return page_ == other.page_; }
    std::byte* data() const { return page_->data_.data(); }
    size_t bytes() const { return page_->data_.size(); }
    // Nobody else can get hold of the page but through this reference, and what others did with it is done.
    bool alone() const { return page_->owners_.load(std::memory_order_acquire) == 1; }

   private:
    friend class KvPage;
    explicit Ref(KvPage* page) : page_(page) {}
    KvPage* page_ = nullptr;
  };

  // Uninitialised. Throws std::bad_alloc.
  static Ref make(size_t bytes, Allocator* allocator) { return Ref(new KvPage(bytes, allocator)); }

 private:
  KvPage(size_t bytes, Allocator* allocator) : data_(bytes, allocator, MemoryUse::kKvCache) {}

  std::atomic<uint32_t> owners_{1};
  AlignedBuffer<std::byte> data_;
};

}  // namespace kette::nn
