// q4_k: 256 weights are f16 d, f16 dmin, 12 bytes of eight 6-bit scales and mins, 128 bytes of nibbles, each 32 of
// which hold a group of 32 in the low and the next one in the high nibbles; d * scale * code - dmin * min.
#include "kernels/avx2/strip.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4K {
  static constexpr size_t kBlock = 256, kBytes = 144, kCodes = 256, kXBytes = 32, kSums = 1, kDepth = 512;

  // Dwords a b c of a row's packed sixes: bytes of a are scales 0 to 3, of b mins 0 to 3 (6 bits); those 4 to 7 have
  // their low four bits in c (scale in the low nibble, min in the high one) and the upper two in the top of a and b.
  static inline __attribute__((always_inline)) void factors(const Rows& rows, uint8_t* out) {
    __m256i v[4] = {two_rows(rows, 0, 0), two_rows(rows, 1, 0), two_rows(rows, 2, 0), two_rows(rows, 3, 0)};
    transpose_pairs(v);  // d dmin, a, b, c of all rows
    const __m256i halves = low_halves(_mm256_and_si256(v[0], _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(v[0], 16));
    const __m256 d = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    const __m256 dmin = _mm256_sub_ps(_mm256_setzero_ps(), _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
    const __m256i six = _mm256_set1_epi32(0x3f3f3f3f), low = _mm256_set1_epi32(0x0f0f0f0f);
    const __m256i top = _mm256_set1_epi32(0x30303030);
    const auto upper = [&](__m256i bits) { return _mm256_and_si256(_mm256_srli_epi32(bits, 2), top); };
    store_fours(_mm256_and_si256(v[1], six), d, out + kCodes);
    store_fours(_mm256_or_si256(_mm256_and_si256(v[3], low), upper(v[1])), d, out + 4 * kRecord<Q4K> + kCodes);
    store_fours(_mm256_and_si256(v[2], six), dmin, out + kCodes + 32);
    store_fours(_mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(v[3], 4), low), upper(v[2])), dmin,
                out + 4 * kRecord<Q4K> + kCodes + 32);
  }

  // Byte g of each row's dword, times its factor, to record g.
  static void store_fours(__m256i bytes, __m256 factor, uint8_t* out) {
    const __m256i mask = _mm256_set1_epi32(0xff);
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g)
      store(out + static_cast<size_t>(g) * kRecord<Q4K>,
            _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(bytes, 8 * g), mask)), factor));
  }

  static void codes(const Rows& rows, uint8_t* out) {
    const __m256i mask = _mm256_set1_epi8(15);
    for (size_t g = 0; g < 8; g += 2) {
      uint8_t* low = out + g * kRecord<Q4K>;
      uint8_t* high = low + kRecord<Q4K>;
      __m256i v[8];
#pragma GCC unroll 8
      for (size_t r = 0; r < 8; ++r) v[r] = load(rows[r] + 16 + 16 * g);
      transpose(v);
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
        store(low + 32 * j, _mm256_and_si256(v[j], mask));
        store(high + 32 * j, _mm256_and_si256(_mm256_srli_epi16(v[j], 4), mask));
      }
    }
  }
  static void spread(const int8_t* q, uint8_t* x) { spread_plain(q, x); }
  template <size_t kN>
  static void products(const uint8_t* w, const uint8_t* x, __m256i (&dot)[kN][2]) {
    nibble_products<Q4K, kN>(w, x, dot);
  }
  // The low and the high nibbles of 32 bytes, in halves.
  static constexpr size_t kAtOnce = 2;
  template <size_t kN>
  static inline __attribute__((always_inline)) void sums(const Rows& rows, size_t g, const uint8_t*,
                                                         const int8_t* const (&q)[kN], __m256i (&dot)[2][kN]) {
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i sum[2][kN][4];
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
#pragma GCC unroll 4
      for (size_t r = 0; r < 4; ++r) {
        const __m256i v = two_rows(rows, r, 16 + 16 * g + 16 * half);
        const __m256i codes[2] = {_mm256_and_si256(v, mask), _mm256_and_si256(_mm256_srli_epi16(v, 4), mask)};
#pragma GCC unroll 4
        for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
          for (size_t j = 0; j < 2; ++j) {
            const __m256i p = _mm256_maddubs_epi16(codes[j], twice16(q[i] + 32 * j + 16 * half));
            sum[j][i][r] = half == 0 ? p : plus16(sum[j][i][r], p);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) {
      dot[0][i] = add_up_pairs(sum[0][i]);
      dot[1][i] = add_up_pairs(sum[1][i]);
    }
  }
};

}  // namespace

void dot_q4_k_many(const DotArgs& a) { dot_strips<Q4K>(a); }

}  // namespace kette::kernels::avx2
