// The passes over a whole vocabulary: largest logit per block, and exponentials. Plain loops that become vector code.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

namespace kette {

inline constexpr size_t kVocabBlock = 64;

using VocabBlock = std::array<float, kVocabBlock>;

// Block b of x [kVocabBlock]; where the vocabulary ends within it, a copy in `last`, filled up with -infinity.
inline const float* block_of(std::span<const float> x, size_t b, VocabBlock& last) {
  const std::span<const float> rest = x.subspan(b * kVocabBlock);
  if (rest.size() >= kVocabBlock) return rest.data();
  last.fill(-std::numeric_limits<float>::infinity());
  std::memcpy(last.data(), rest.data(), rest.size_bytes());
  return last.data();
}

// Floats as integers of the same order, -0 just below 0; integers, as comparing floats that may be NaN is no vector code.
// NaN and +infinity are the only ones above the largest finite number, or, for a negative NaN, below -infinity.
inline int32_t order_key(float x) {
  const auto bits = std::bit_cast<int32_t>(x);
  return bits ^ static_cast<int32_t>(static_cast<uint32_t>(bits >> 31) >> 1);
}
inline float from_order_key(int32_t key) {
  return std::bit_cast<float>(key ^ static_cast<int32_t>(static_cast<uint32_t>(key >> 31) >> 1));
}

// The least and largest key of a block.
struct KeyRange {
  int32_t least, largest;
};
inline KeyRange key_range(const float* x) {
  KeyRange range{order_key(x[0]), order_key(x[0])};
  for (size_t j = 0; j < kVocabBlock; ++j) {
    const int32_t key = order_key(x[j]);
    range.least = key < range.least ? key : range.least;
    range.largest = key > range.largest ? key : range.largest;
  }
  return range;
}

// exp(x) for x <= 0 within 2 units in the last place; 0 below -87. Not std::exp, which is slower and differs by platform.
inline float exp_of_negative(float x) {
  const int32_t magnitude = std::bit_cast<int32_t>(x) & 0x7fffffff;
  const int32_t least = std::bit_cast<int32_t>(87.0f);
  const float held = -std::bit_cast<float>(magnitude < least ? magnitude : least);
  // x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, so that n ln 2 is nearly exact.
  const auto n = static_cast<int32_t>(held * 1.44269504f - 0.5f);
  const float nf = static_cast<float>(n), r = (held - nf * 0.693145752f) - nf * 1.42860677e-6f;
  // The Taylor series to r^7: its first dropped term is below 6e-9.
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const float power = std::bit_cast<float>((n + 127) << 23);
  const int32_t keep = magnitude <= least ? ~0 : 0;
  return std::bit_cast<float>(std::bit_cast<int32_t>(p * power) & keep);
}

// The sum of a block of numbers that are not negative. Rounding up or down, it is never below any of them.
inline float sum_of(const VocabBlock& x) {
  std::array<float, 16> lane;
  for (size_t j = 0; j < 16; ++j) lane[j] = (x[j] + x[j + 16]) + (x[j + 32] + x[j + 48]);
  float sum = 0.0f;
  for (size_t j = 0; j < 16; ++j) sum += lane[j];
  return sum;
}

}  // namespace kette
