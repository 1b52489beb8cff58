// What the format files share: the declarations of all rows, reading and writing the fields of a block, safe rounding.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/float_types.h"
#include "quant/format.h"

namespace kette {

#define KETTE_FORMAT(name) extern const Format format_##name;
#include "quant/formats.inc"
#undef KETTE_FORMAT

static_assert(std::endian::native == std::endian::little, "blocks are little-endian and read as they lie");

inline const uint8_t* octets(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
inline uint8_t* octets(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }

// Fields of a block have no alignment. Decoders load the bytes of a loop into a local array first: the compiler then
// knows that writing the numbers does not change them, and makes vector code of a plain loop.
template <size_t kCount>
using Bytes = std::array<uint8_t, kCount>;

template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
template <class T>
void store(T value, std::byte* p) {
  std::memcpy(p, &value, sizeof value);
}

inline float load_f16(const std::byte* p) { return f16_to_float(load<uint16_t>(p)); }
inline void store_f16(float value, std::byte* p) { store(float_to_f16(value), p); }

// The integer part of a number, held in [0, most]; NaN gives either end. A cast alone would be undefined for wild input.
// Floats that are not negative order as their bits do, and comparing integers keeps this vector code.
inline int truncate_to(float value, int most) {
  const auto bits = std::bit_cast<int32_t>(value), most_bits = std::bit_cast<int32_t>(static_cast<float>(most));
  const int32_t low = bits > 0 ? bits : 0;
  return static_cast<int>(std::bit_cast<float>(low < most_bits ? low : most_bits));
}

// The number of largest magnitude, the first if several; 0 for zeros.
inline float peak_of(const float* x, size_t n) {
  float peak = 0.0f;
  for (size_t j = 0; j < n; ++j)
    if (std::fabs(x[j]) > std::fabs(peak)) peak = x[j];
  return peak;
}

struct Range {
  float low, high;
};
inline Range range_of(const float* x, size_t n) {
  Range range{x[0], x[0]};
  for (size_t j = 1; j < n; ++j) {
    range.low = x[j] < range.low ? x[j] : range.low;
    range.high = x[j] > range.high ? x[j] : range.high;
  }
  return range;
}

// The sum, in an order that needs no vector reduction and is the same on every machine.
template <size_t kCount>
float sum_in_halves(const std::array<float, kCount>& x) {
  if constexpr (kCount == 1)
    return x[0];
  else {
    std::array<float, kCount / 2> sums;
    for (size_t j = 0; j < kCount / 2; ++j) sums[j] = x[j] + x[j + kCount / 2];
    return sum_in_halves(sums);
  }
}

// 1 / d, and 0 for a block of zeros.
inline float inverse(float d) { return d == 0.0f ? 0.0f : 1.0f / d; }

}  // namespace kette
