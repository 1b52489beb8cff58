// q5_k: 256 weights are f16 d, f16 dmin, 12 bytes of eight 6-bit scales and mins, 32 bytes of fifth bits (bit g of byte
// l is that of weight l of group g), then nibbles as in q4_k; d * scale * code - dmin * min.
#include "kernels/avx512/sixes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q5K {
  static constexpr size_t kBlock = 256, kBytes = 176, kParts = 1, kSums = 1, kOffset = 0;

  static void unpack(const Rows& rows, uint8_t* out) {
    store_sixes<Q5K>(rows, out);
    __m512i fifth[8];
    load_eights(rows, 16, fifth);
#pragma GCC unroll 4
    for (unsigned g = 0; g < 8; g += 2) {
      uint8_t* record = out + g * kRecord<Q5K>;
      __m512i v[8];
      load_eights(rows, 48 + 16 * g, v);
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
        // Bit g, then bit g + 1, to bit 4.
        const __m512i low = g < 4 ? _mm512_slli_epi16(fifth[j], 4 - g) : _mm512_srli_epi16(fifth[j], g - 4);
        const __m512i high = g < 4 ? _mm512_slli_epi16(fifth[j], 3 - g) : _mm512_srli_epi16(fifth[j], g - 3);
        store(record + 64 * j, join(v[j], low, 0x1f));
        store(record + kRecord<Q5K> + 64 * j, join(_mm512_srli_epi16(v[j], 4), high, 0x1f));
      }
    }
  }
};

}  // namespace

void dot_q5_k_many(const DotArgs& a) { dot_strips<Q5K>(a); }

}  // namespace kette::kernels::avx512
