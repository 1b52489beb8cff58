// q4_k: 256 weights are f16 d, f16 dmin, 12 bytes of eight 6-bit scales and mins, 128 bytes of nibbles, each 32 of
// which hold a group of 32 in the low and the next one in the high nibbles; d * scale * code - dmin * min.
#include "kernels/avx512/sixes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4K {
  static constexpr size_t kBlock = 256, kBytes = 144, kParts = 1, kSums = 1, kOffset = 0;

  static void unpack(const Rows& rows, uint8_t* out) {
    store_sixes<Q4K>(rows, out);
    for (size_t g = 0; g < 8; g += 2) {
      uint8_t* record = out + g * kRecord<Q4K>;
      __m512i v[8];
      load_eights(rows, 16 + 16 * g, v);
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
        store(record + 64 * j, low_nibbles(v[j]));
        store(record + kRecord<Q4K> + 64 * j, high_nibbles(v[j]));
      }
    }
  }
};

}  // namespace

void dot_q4_k_many(const DotArgs& a) { dot_strips<Q4K>(a); }

}  // namespace kette::kernels::avx512
