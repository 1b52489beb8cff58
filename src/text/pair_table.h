// (left token, right token) -> (rank, merged token): the flat hash table at the heart of byte-pair merging.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kette {

inline constexpr uint32_t kNoRank = UINT32_MAX;

class PairTable {
 public:
  struct Found {
    uint32_t rank = kNoRank;  // kNoRank: these two do not merge
    int32_t merged = -1;
  };

  void reserve(size_t pairs) {
    slots_.assign(std::bit_ceil(pairs * 2 + 2), Slot{});
    shift_ = 64 - std::countr_zero(slots_.size());
  }
  // The last of several equal pairs wins. False if too many pairs fall into one place, as only a file made for that does.
  bool insert(int32_t left, int32_t right, uint32_t rank, int32_t merged) {
    const uint64_t key = key_of(left, right);
    size_t at = slot_of(key);
    for (size_t probes = 0; probes <= kMaxProbes; ++probes, at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].key != kEmpty && slots_[at].key != key) continue;
      slots_[at] = {key, {rank, merged}};
      return true;
    }
    return false;
  }
  Found find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    size_t at = slot_of(key);
    for (size_t probes = 0; probes <= kMaxProbes; ++probes, at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].key == key) return slots_[at].found;
      if (slots_[at].key == kEmpty) break;
    }
    return {};
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static constexpr size_t kMaxProbes = 256;
  struct Slot {
    uint64_t key = kEmpty;
    Found found;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const {
    key ^= key >> 29;
    return static_cast<size_t>(key * 0x9E3779B97F4A7C15u >> shift_);
  }

  std::vector<Slot> slots_;
  int shift_ = 63;
};

}  // namespace kette
