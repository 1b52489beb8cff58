// q4_0: 32 weights are f16 d, 16 bytes (low nibbles, then high), meaning (code - 8) * d.
#include "kernels/avx2/strip.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4_0 {
  static constexpr size_t kBlock = 32, kBytes = 18, kCodes = 256, kXBytes = 32, kSums = 1, kDepth = 512;

  static void factors(const Rows& rows, uint8_t* out) {
    const __m256 d = halves(rows, 0);
    store(out + kCodes, d);
    store(out + kCodes + 32, _mm256_mul_ps(d, _mm256_set1_ps(-8.0f)));
  }
  static void codes(const Rows& rows, uint8_t* out) { pack_nibbles(rows, 2, out); }
  static void spread(const int8_t* q, uint8_t* x) { spread_plain(q, x); }
  template <size_t kN>
  static void products(const uint8_t* w, const uint8_t* x, __m256i (&dot)[kN][2]) {
    nibble_products<Q4_0, kN>(w, x, dot);
  }
  static constexpr size_t kAtOnce = 1;
  template <size_t kN>
  static void sums(const Rows& rows, size_t, const uint8_t*, const int8_t* const (&q)[kN], __m256i (&dot)[1][kN]) {
    nibble_sums<kN>(rows, 2, q, dot);
  }
};

}  // namespace

void dot_q4_0_many(const DotArgs& a) { dot_strips<Q4_0>(a); }

}  // namespace kette::kernels::avx2
