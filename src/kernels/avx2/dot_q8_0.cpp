// q8_0: 32 weights are f16 d, 32 int8. Panels hold 16-bit numbers: multiplying bytes needs one side unsigned.
#include "kernels/avx2/strip.h"

namespace kette::kernels::avx2 {
namespace {

struct Q8_0 {
  static constexpr size_t kBlock = 32, kBytes = 34, kCodes = 512, kXBytes = 64, kSums = 0, kDepth = 256;

  // The even and the odd bytes, widened.
  static __m256i even(__m256i v) { return _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8); }
  static __m256i odd(__m256i v) { return _mm256_srai_epi16(v, 8); }

  static void factors(const Rows& rows, uint8_t* out) { store(out + kCodes, halves(rows, 0)); }

  static void codes(const Rows& rows, uint8_t* out) {
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t r = 0; r < 8; ++r) v[r] = load(rows[r] + 2);
    transpose(v);
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j) {
      store(out + 64 * j, even(v[j]));
      store(out + 64 * j + 32, odd(v[j]));
    }
  }

  static void spread(const int8_t* q, uint8_t* x) {
    const __m256i v = load(q);
    store(x, even(v));
    store(x + 32, odd(v));
  }

  template <size_t kN>
  static void products(const uint8_t* w, const uint8_t* x, __m256i (&dot)[kN][2]) {
#pragma GCC unroll 16
    for (size_t j = 0; j < 16; ++j) {
      const __m256i w0 = load(w + 32 * j), w1 = load(w + kStripBytes<Q8_0> + 32 * j);
#pragma GCC unroll 4
      for (size_t i = 0; i < kN; ++i) {
        const __m256i v = four(x + i * kXRow<Q8_0> + 32 * (j % 2) + 4 * (j / 2));
        const __m256i p0 = _mm256_madd_epi16(w0, v), p1 = _mm256_madd_epi16(w1, v);
        dot[i][0] = j == 0 ? p0 : plus32(dot[i][0], p0);
        dot[i][1] = j == 0 ? p1 : plus32(dot[i][1], p1);
      }
    }
  }

  static constexpr size_t kAtOnce = 1;
  // The weight's sign goes over to the activation.
  template <size_t kN>
  static void sums(const Rows& rows, size_t, const uint8_t*, const int8_t* const (&q)[kN], __m256i (&dot)[1][kN]) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) {
      const __m256i x = load(q[i]);
      __m256i v[8];
#pragma GCC unroll 8
      for (size_t r = 0; r < 8; ++r) {
        const __m256i w = load(rows[r] + 2);
        v[r] = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), ones);
      }
      dot[0][i] = add_up32(v);
    }
  }
};

}  // namespace

void dot_q8_0_many(const DotArgs& a) { dot_strips<Q8_0>(a); }

}  // namespace kette::kernels::avx2
