// Random numbers that are the same on every platform, unlike those of the standard distributions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace kette {

// xoshiro256++ seeded by SplitMix64 (Blackman and Vigna, "Scrambled linear pseudorandom number generators").
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      word = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
      word = (word ^ word >> 27) * 0x94d049bb133111ebu;
      word ^= word >> 31;
    }
  }

  // In [0, 1): 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  uint64_t next() {
    auto& s = state_;
    const uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = std::rotl(s[3], 45);
    return result;
  }

  std::array<uint64_t, 4> state_;
};

}  // namespace kette
