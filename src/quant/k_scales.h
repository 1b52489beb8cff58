// q4_k and q5_k pack eight 6-bit scales and eight 6-bit mins into 12 bytes:
//   byte j     (j < 4)  bits 0..5: scale[j],             bits 6..7: bits 4..5 of scale[j + 4]
//   byte j + 4 (j < 4)  bits 0..5: min[j],               bits 6..7: bits 4..5 of min[j + 4]
//   byte j + 8 (j < 4)  low nibble: scale[j + 4] & 15,   high nibble: min[j + 4] & 15
#pragma once

#include <cstdint>

namespace kette {

struct KScales {
  uint8_t scale[8], min[8];
};

inline KScales unpack_k_scales(const uint8_t* packed) {
  KScales s;
  for (int j = 0; j < 4; ++j) {
    const int a = packed[j], b = packed[j + 4], c = packed[j + 8];
    s.scale[j] = static_cast<uint8_t>(a & 63);
    s.min[j] = static_cast<uint8_t>(b & 63);
    s.scale[j + 4] = static_cast<uint8_t>((c & 15) | (a >> 6) << 4);
    s.min[j + 4] = static_cast<uint8_t>(c >> 4 | (b >> 6) << 4);
  }
  return s;
}

inline void pack_k_scales(const KScales& s, uint8_t* packed) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(s.scale[j] | s.scale[j + 4] >> 4 << 6);
    packed[j + 4] = static_cast<uint8_t>(s.min[j] | s.min[j + 4] >> 4 << 6);
    packed[j + 8] = static_cast<uint8_t>((s.scale[j + 4] & 15) | (s.min[j + 4] & 15) << 4);
  }
}

}  // namespace kette
