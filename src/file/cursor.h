// A Source, front to back -> checked numbers and bytes. Every length a file claims is compared with what is left
// before it is used; at most one chunk is buffered.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "file/source.h"

namespace kette {

class Cursor {
 public:
  // Reads at most `limit` bytes: the budget left for metadata.
  Cursor(const Source& source, uint64_t limit)
      : source_(source), size_(source.size()), limit_(limit), chunk_(std::min<uint64_t>(size_, kChunk)) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return size_ - position_; }

  // Are `count` elements of at least `min_bytes` each still there? An allocation for them may follow.
  Status need(uint64_t count, uint64_t min_bytes = 1) const {
    if (count > remaining() / min_bytes) {
      return error(Code::kCorrupt, "truncated: {} x {} bytes or more expected at offset {}, the file has {}", count,
                   min_bytes, position_, size_);
    }
    if (count > (limit_ - std::min(limit_, position_)) / min_bytes) {
      return error(Code::kBudget, "the metadata is larger than the limit, which leaves {} bytes for this file", limit_);
    }
    return {};
  }

  template <class T>
  Status number(T& out) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    KETTE_TRY(need(sizeof(T)));
    std::byte raw[sizeof(T)];
    for (size_t done = 0; done < sizeof(T);) {
      KETTE_TRY(refill());
      const size_t n = static_cast<size_t>(std::min<uint64_t>(sizeof(T) - done, chunk_end_ - position_));
      std::memcpy(raw + done, here(), n);
      done += n;
      position_ += n;
    }
    std::memcpy(&out, raw, sizeof(T));
    return {};
  }

  Status append(uint64_t count, std::string& out) {
    KETTE_TRY(need(count));
    while (count > 0) {
      KETTE_TRY(refill());
      const size_t n = static_cast<size_t>(std::min(count, chunk_end_ - position_));
      out.append(reinterpret_cast<const char*>(here()), n);
      position_ += n;
      count -= n;
    }
    return {};
  }

 private:
  static constexpr uint64_t kChunk = 64 * 1024;

  const std::byte* here() const { return chunk_.data() + (position_ - chunk_begin_); }

  // Afterwards at least one byte at position_ is buffered; the caller has checked need(1).
  Status refill() {
    if (position_ < chunk_end_) return {};
    const uint64_t n = std::min<uint64_t>(chunk_.size(), remaining());
    KETTE_TRY(source_.read_at(position_, std::span(chunk_).first(static_cast<size_t>(n))));
    chunk_begin_ = position_;
    chunk_end_ = position_ + n;
    return {};
  }

  const Source& source_;
  uint64_t size_, limit_;
  uint64_t position_ = 0, chunk_begin_ = 0, chunk_end_ = 0;
  std::vector<std::byte> chunk_;
};

}  // namespace kette
