// q4_0: 32 weights are f16 d, 16 bytes (low nibbles, then high), meaning (code - 8) * d.
#include "kernels/avx512/strip_codes.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4_0 {
  static constexpr size_t kBlock = 32, kBytes = 18, kParts = 1, kSums = 0, kOffset = 8;

  static void factors(const Rows& rows, uint8_t* out) { store(out + kCodes, halves(rows, 0)); }
  static void codes(const Rows& rows, uint8_t* out) {
    __m512i v[4];
    load_fours(rows, 2, v);
    store_nibbles(v, out);
  }
  static constexpr size_t kAtOnce = 1;
  // The first half lies in the low nibbles.
  static void quarters(const Rows& rows, size_t r, size_t half, size_t, __m512i (&codes)[1]) {
    const __m512i v = four_rows(rows, r, 2);
    codes[0] = half == 0 ? low_nibbles(v) : high_nibbles(v);
  }
};

}  // namespace

void dot_q4_0_many(const DotArgs& a) { dot_strips<Q4_0>(a); }

}  // namespace kette::kernels::avx512
