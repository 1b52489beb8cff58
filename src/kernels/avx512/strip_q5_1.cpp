// q5_1: 32 weights are f16 d, f16 m, a dword of fifth bits, 16 bytes (low nibbles, then high), meaning code * d + m.
#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q5_1 {
  static constexpr size_t kBlock = 32, kBytes = 24, kParts = 1, kSums = 1, kOffset = 0;

  static void unpack(const Rows& rows, uint8_t* out) {
    alignas(64) uint32_t fifth[kStrip];
    gather(rows, 4, fifth);
    __m512i v[4];
    load_fours(rows, 8, v);
    store_nibbles(v, _mm512_load_si512(fifth), out);
    const Pair d_m = two_halves(rows, 0);
    store(out + kCodes, d_m.first);
    store(out + kCodes + 64, d_m.second);
  }
};

}  // namespace

void dot_q5_1_many(const DotArgs& a) { dot_strips<Q5_1>(a); }

}  // namespace kette::kernels::avx512
