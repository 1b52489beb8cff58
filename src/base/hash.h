// FNV-1a with 128 bits: tells contents apart. No defence against contents that were made to collide.
// https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kette {

class Hash128 {
 public:
  void bytes(std::span<const std::byte> data) {
    for (const std::byte b : data) state_ = (state_ ^ static_cast<uint8_t>(b)) * kPrime;
  }
  void number(uint64_t n) { bytes(std::as_bytes(std::span(&n, 1))); }
  // With its length first: "ab", "c" is not "a", "bc".
  void text(std::string_view s) {
    number(s.size());
    bytes(std::as_bytes(std::span(s)));
  }
  void hash(const Hash128& other) {
    number(other.high());
    number(other.low());
  }

  uint64_t high() const { return static_cast<uint64_t>(state_ >> 64); }
  uint64_t low() const { return static_cast<uint64_t>(state_); }
  std::string hex() const { return fmt::format("{:016x}{:016x}", high(), low()); }

 private:
  __extension__ using Number = unsigned __int128;
  static constexpr Number kPrime = (Number{1} << 88) + 0x13b;
  Number state_ = (Number{0x6c62272e07bb0142} << 64) + 0x62b821756295c58d;
};

}  // namespace kette
