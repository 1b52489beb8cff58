// A quick checksum of 64 bits: tells of damage by disks, wires and cut files. Any change within 8 bytes changes it, other
// damage passes one time in 2^64. No defence against bytes that were made to pass.
//
// Four lanes take 8 bytes each in turn, times an odd factor; exclusive or, a rotation and a second factor follow. All of
// that can be undone, so that nothing of what went in is lost, and the two factors keep a flipped bit from being undone
// by another one. Then the lanes are folded into one, with the length.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace kette {

class Checksum {
 public:
  void bytes(std::span<const std::byte> data) {
    length_ += data.size();
    if (held_ > 0) {  // an open block first
      const size_t n = data.size() < kBlock - held_ ? data.size() : kBlock - held_;
      std::memcpy(block_ + held_, data.data(), n);
      held_ += n;
      data = data.subspan(n);
      if (held_ < kBlock) return;
      take(block_, 1);
      held_ = 0;
    }
    const size_t blocks = data.size() / kBlock;
    take(data.data(), blocks);
    data = data.subspan(blocks * kBlock);
    if (data.empty()) return;
    std::memcpy(block_, data.data(), data.size());
    held_ = data.size();
  }

  // Of all so far.
  uint64_t value() const {
    Checksum rest = *this;
    if (held_ > 0) {
      std::memset(rest.block_ + held_, 0, kBlock - held_);
      rest.take(rest.block_, 1);
    }
    uint64_t out = length_ * kFactor;
    for (const uint64_t lane : rest.lanes_) out = spread(out ^ lane);
    return out;
  }

 private:
  static constexpr size_t kLanes = 4, kBlock = 8 * kLanes;
  static constexpr uint64_t kFactor = 0xd1342543de82ef95, kWord = 0x9fb21c651e98df25;  // odd, bits without pattern

  void take(const std::byte* p, size_t blocks) {
    uint64_t a = lanes_[0], b = lanes_[1], c = lanes_[2], d = lanes_[3];
    for (; blocks > 0; --blocks, p += kBlock) {
      uint64_t word[kLanes];
      std::memcpy(word, p, kBlock);
      a = std::rotl(a ^ word[0] * kWord, 29) * kFactor;
      b = std::rotl(b ^ word[1] * kWord, 29) * kFactor;
      c = std::rotl(c ^ word[2] * kWord, 29) * kFactor;
      d = std::rotl(d ^ word[3] * kWord, 29) * kFactor;
    }
    lanes_[0] = a, lanes_[1] = b, lanes_[2] = c, lanes_[3] = d;
  }
  static uint64_t spread(uint64_t x) {
    x = (x ^ x >> 32) * kFactor;
    x = (x ^ x >> 29) * kFactor;
    return x ^ x >> 32;
  }

  uint64_t lanes_[kLanes] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0x2545f4914f6cdd1d};
  uint64_t length_ = 0;
  std::byte block_[kBlock]{};
  size_t held_ = 0;  // bytes of block_
};

inline uint64_t checksum(std::span<const std::byte> data) {
  Checksum sum;
  sum.bytes(data);
  return sum.value();
}

}  // namespace kette
