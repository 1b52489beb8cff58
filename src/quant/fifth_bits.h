// The 5-bit formats keep the top bit of their 32 numbers in one word: bit j belongs to number j.
#pragma once

#include "quant/block.h"

namespace kette {

// 16 bits of the word -> 16 or 0 for each of 16 numbers. SSE has no shift that differs by lane, so a product with 2^(15-j)
// brings bit j to the top.
inline Bytes<16> spread_fifth_bits(uint16_t bits) {
  constexpr std::array<uint16_t, 16> kToTop{0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200, 0x100,
                                            0x80,   0x40,   0x20,   0x10,   8,     4,     2,     1};
  Bytes<16> fifth;
  for (size_t j = 0; j < 16; ++j) fifth[j] = static_cast<uint8_t>(static_cast<uint16_t>(bits * kToTop[j]) >> 15 << 4);
  return fifth;
}

// The inverse for a block: q [32] -> nibbles [16], and the word as result.
inline uint32_t split_fifth_bits(const Bytes<32>& q, std::byte* nibbles) {
  uint32_t word = 0;
  for (size_t j = 0; j < 32; ++j) word |= static_cast<uint32_t>(q[j] >> 4) << j;
  for (size_t j = 0; j < 16; ++j) nibbles[j] = static_cast<std::byte>((q[j] & 15) | (q[j + 16] & 15) << 4);
  return word;
}

}  // namespace kette
