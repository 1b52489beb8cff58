// q4_1: 32 weights are f16 d, f16 m, 16 bytes (low nibbles, then high), meaning code * d + m.
#include "kernels/avx2/strip.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4_1 {
  static constexpr size_t kBlock = 32, kBytes = 20, kCodes = 256, kXBytes = 32, kSums = 1, kDepth = 512;

  // d and m of rows r0, r0 + 1, r0 + 4, r0 + 5.
  static __m256 pairs(const Rows& rows, size_t r0) {
    int32_t dm[4];
    for (size_t i = 0; i < 4; ++i) memcpy(&dm[i], rows[r0 + i % 2 + i / 2 * 4], 4);
    return _mm256_cvtph_ps(_mm_set_epi32(dm[3], dm[2], dm[1], dm[0]));
  }

  static void factors(const Rows& rows, uint8_t* out) {
    const __m256 a = pairs(rows, 0), b = pairs(rows, 2);
    store(out + kCodes, _mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
    store(out + kCodes + 32, _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1)));
  }
  static void codes(const Rows& rows, uint8_t* out) { pack_nibbles(rows, 4, out); }
  static void spread(const int8_t* q, uint8_t* x) { spread_plain(q, x); }
  template <size_t kN>
  static void products(const uint8_t* w, const uint8_t* x, __m256i (&dot)[kN][2]) {
    nibble_products<Q4_1, kN>(w, x, dot);
  }
  static constexpr size_t kAtOnce = 1;
  template <size_t kN>
  static void sums(const Rows& rows, size_t, const uint8_t*, const int8_t* const (&q)[kN], __m256i (&dot)[1][kN]) {
    nibble_sums<kN>(rows, 4, q, dot);
  }
};

}  // namespace

void dot_q4_1_many(const DotArgs& a) { dot_strips<Q4_1>(a); }

}  // namespace kette::kernels::avx2
