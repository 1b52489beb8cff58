// q5_0: 32 weights are f16 d, a dword of fifth bits, 16 bytes (low nibbles, then high), meaning (code - 16) * d.
#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q5_0 {
  static constexpr size_t kBlock = 32, kBytes = 22, kParts = 1, kSums = 0, kOffset = 16;

  static void unpack(const Rows& rows, uint8_t* out) {
    alignas(64) uint32_t fifth[kStrip];
    gather(rows, 2, fifth);
    __m512i v[4];
    load_fours(rows, 6, v);
    store_nibbles(v, _mm512_load_si512(fifth), out);
    store(out + kCodes, halves(rows, 0));
  }
};

}  // namespace

void dot_q5_0_many(const DotArgs& a) { dot_strips<Q5_0>(a); }

}  // namespace kette::kernels::avx512
