// q6_k: 256 weights are 128 bytes of low nibbles, 64 bytes of upper two bits, 16 int8 scales (one of 16 weights),
// f16 d; d * scale * (code - 32). Of each 128 weights byte l of 64 holds weights l (low) and l + 64 (high nibble),
// and byte l of 32 the upper bits of weights l, l + 32, l + 64, l + 96.
#include "kernels/avx2/strip.h"

namespace kette::kernels::avx2 {
namespace {

struct Q6K {
  // A record's codes are followed by the scales of its two halves as pairs of 16 bits, [2][8 rows][2].
  static constexpr size_t kBlock = 256, kBytes = 210, kScales = 256, kCodes = kScales + 64, kXBytes = 32, kSums = 2,
                          kDepth = 256;

  // Byte i of each dword, twice as 16 bits.
  static __m256i twice(__m256i dwords, size_t i) {
    const __m128i pick = _mm_add_epi8(_mm_set_epi32(0x0cff0cff, 0x08ff08ff, 0x04ff04ff, 0x00ff00ff),
                                      _mm_set1_epi16(static_cast<int16_t>(i << 8)));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(dwords, _mm256_set_m128i(pick, pick)), 8);
  }

  static inline __attribute__((always_inline)) void factors(const Rows& rows, uint8_t* out) {
    const __m256 d = halves(rows, 208), offset = _mm256_mul_ps(d, _mm256_set1_ps(-32.0f));
    __m256i v[4] = {two_rows(rows, 0, 192), two_rows(rows, 1, 192), two_rows(rows, 2, 192), two_rows(rows, 3, 192)};
    transpose_pairs(v);  // four scales of each row
#pragma GCC unroll 16
    for (size_t half = 0; half < 16; ++half) {
      uint8_t* record = out + half / 2 * kRecord<Q6K>;
      const __m256i scale = twice(v[half / 4], half % 4);
      store(record + kScales + half % 2 * 32, scale);
      store(record + kCodes, d);
      store(record + kCodes + 32 + half % 2 * 32,
            _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srai_epi32(scale, 16)), offset));
    }
  }

  static void codes(const Rows& rows, uint8_t* out) {
    for (size_t half = 0; half < 2; ++half) {
      __m256i a[8], b[8], upper[8];
#pragma GCC unroll 8
      for (size_t r = 0; r < 8; ++r) {
        a[r] = load(rows[r] + 64 * half);
        b[r] = load(rows[r] + 64 * half + 32);
        upper[r] = load(rows[r] + 128 + 32 * half);
      }
      transpose(a);
      transpose(b);
      transpose(upper);
      uint8_t* record = out + 4 * half * kRecord<Q6K>;
#pragma GCC unroll 8
      for (size_t j = 0; j < 8; ++j) {
#pragma GCC unroll 4
        for (size_t part = 0; part < 4; ++part)
          store(record + part * kRecord<Q6K> + 32 * j, code(part, part % 2 == 0 ? a[j] : b[j], upper[j]));
      }
    }
  }

  static __m256i code(__m256i nibbles, __m256i upper) {
    return _mm256_or_si256(_mm256_and_si256(nibbles, _mm256_set1_epi8(15)),
                           _mm256_and_si256(upper, _mm256_set1_epi8(0x30)));
  }

  static void spread(const int8_t* q, uint8_t* x) { spread_plain(q, x); }

  // Four products of a 16-bit lane cannot overflow, 4 * 63 * 128 < 2^15; the scale goes in while pairs are added.
  template <size_t kN>
  static void products(const uint8_t* w, const uint8_t* x, __m256i (&dot)[kN][2]) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
#pragma GCC unroll 2
      for (size_t s = 0; s < 2; ++s) {
        const uint8_t* strip = w + s * kStripBytes<Q6K>;
        const __m256i w0 = load(strip + 64 * j), w1 = load(strip + 64 * j + 32);
#pragma GCC unroll 4
        for (size_t i = 0; i < kN; ++i) {
          const uint8_t* v = x + i * kXRow<Q6K> + 8 * j;
          const __m256i pairs =
              _mm256_add_epi16(_mm256_maddubs_epi16(w0, four(v)), _mm256_maddubs_epi16(w1, four(v + 4)));
          const __m256i p = _mm256_madd_epi16(pairs, load(strip + kScales + j / 2 * 32));
          dot[i][s] = j == 0 ? p : plus32(dot[i][s], p);
        }
      }
    }
  }

  // Four codes' products fit into 16 bits; the scale of 16 goes in while those are added.
  static constexpr size_t kAtOnce = 4;
  template <size_t kN>
  static inline __attribute__((always_inline)) void sums(const Rows& rows, size_t g, const uint8_t* record,
                                                         const int8_t* const (&q)[kN], __m256i (&dot)[4][kN]) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[2][4][kN];  // of rows 0 1 4 5, then 2 3 6 7: each of two numbers
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s) {
#pragma GCC unroll 2
      for (size_t half = 0; half < 2; ++half) {
        const size_t upper = 128 + 8 * g + 16 * half;
        const __m256i u[2] = {two_rows(rows, 2 * s, upper), two_rows(rows, 2 * s + 1, upper)};
#pragma GCC unroll 2
        for (size_t low = 0; low < 2; ++low) {
          const size_t at = 16 * g + 16 * half + 32 * low;
          const __m256i v[2] = {two_rows(rows, 2 * s, at), two_rows(rows, 2 * s + 1, at)};
#pragma GCC unroll 2
          for (size_t part = low; part < 4; part += 2) {
            const __m256i codes[2] = {code(part, v[0], u[0]), code(part, v[1], u[1])};
            const __m256i scales = load(record + part * kRecord<Q6K> + kScales + 32 * half);
            const __m256i scale =
                s == 0 ? _mm256_unpacklo_epi32(scales, scales) : _mm256_unpackhi_epi32(scales, scales);
#pragma GCC unroll 4
            for (size_t i = 0; i < kN; ++i) {
              const __m256i x = twice16(q[i] + 32 * part + 16 * half);
              const __m256i fours = _mm256_packs_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(codes[0], x), ones),
                                                       _mm256_madd_epi16(_mm256_maddubs_epi16(codes[1], x), ones));
              const __m256i p = _mm256_madd_epi16(fours, scale);
              sum[s][part][i] = half == 0 ? p : plus32(sum[s][part][i], p);
            }
          }
        }
      }
    }
#pragma GCC unroll 4
    for (size_t part = 0; part < 4; ++part) {
#pragma GCC unroll 4
      for (size_t i = 0; i < kN; ++i) {
        const __m256 ab = _mm256_castsi256_ps(sum[0][part][i]), cd = _mm256_castsi256_ps(sum[1][part][i]);
        dot[part][i] = _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0))),
                                        _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1))));
      }
    }
  }
  // Codes of a group from the nibbles that hold it and the upper bits of four groups.
  static __m256i code(size_t part, __m256i nibbles, __m256i upper) {
    return part == 0   ? code(nibbles, _mm256_slli_epi16(upper, 4))
           : part == 1 ? code(nibbles, _mm256_slli_epi16(upper, 2))
           : part == 2 ? code(_mm256_srli_epi16(nibbles, 4), upper)
                       : code(_mm256_srli_epi16(nibbles, 4), _mm256_srli_epi16(upper, 2));
  }
};

}  // namespace

void dot_q6_k_many(const DotArgs& a) { dot_strips<Q6K>(a); }

}  // namespace kette::kernels::avx2
