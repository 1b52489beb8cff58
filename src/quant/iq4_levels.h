// The 16 levels of iq4_nl and iq4_xs: closer together near zero, where weights are dense. Values are part of the format.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kette {

inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// q [16] bytes -> x [32] = scale * level: low nibbles first, then the high ones.
inline void decode_iq4(const uint8_t* __restrict q, float scale, float* __restrict x) {
  float scaled[16];
  for (size_t k = 0; k < 16; ++k) scaled[k] = scale * kIq4Levels[k];
  for (size_t j = 0; j < 16; ++j) {
    x[j] = scaled[q[j] & 15];
    x[j + 16] = scaled[q[j] >> 4];
  }
}

}  // namespace kette
