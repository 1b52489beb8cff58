// What the formats' unpacking of a strip is made of: pieces of 16 rows, transposed, so that a lane is a row. Internal
// linkage only.
#pragma once

#include "kernels/avx512/nibbles.h"
#include "kernels/avx512/strip.h"
#include "kernels/avx512/transpose.h"

namespace kette::kernels::avx512 {
namespace {

inline void store(uint8_t* p, __m512i v) { _mm512_store_si512(p, v); }
inline void store(float* p, __m512 v) { _mm512_store_ps(p, v); }

// 16 bytes of each row at `at`: v[j] lane r = dword j of row r.
inline __attribute__((always_inline)) void load_fours(const Rows& rows, size_t at, __m512i (&v)[4]) {
#pragma GCC unroll 4
  for (size_t r = 0; r < 4; ++r) v[r] = four_rows(rows, r, at);
  transpose_quarters(v);
}

// 32 bytes of each row, likewise.
inline __attribute__((always_inline)) void load_eights(const Rows& rows, size_t at, __m512i (&v)[8]) {
  const auto line = [&](size_t r) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r] + at)); };
  __m512i t[8];
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; ++i) {
    const size_t r = i < 4 ? i : i + 4;  // and r + 4
    t[i] = _mm512_inserti64x4(_mm512_castsi256_si512(line(r)), line(r + 4), 1);
  }
  transpose_quarters(t);
  transpose_quarters(t + 4);
#pragma GCC unroll 4
  for (size_t j = 0; j < 4; ++j) {
    v[j] = _mm512_shuffle_i32x4(t[j], t[j + 4], _MM_SHUFFLE(2, 0, 2, 0));
    v[j + 4] = _mm512_shuffle_i32x4(t[j], t[j + 4], _MM_SHUFFLE(3, 1, 3, 1));
  }
}

// The first or the last dword of 16 bytes of each row at `at`. Sixteen loads of a dword each would go through memory.
template <bool kLast>
inline __attribute__((always_inline)) __m512i dwords(const Rows& rows, size_t at) {
  const __m512i a = four_rows(rows, 0, at), b = four_rows(rows, 1, at), c = four_rows(rows, 2, at),
                d = four_rows(rows, 3, at);
  if (kLast) return _mm512_unpackhi_epi64(_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
  return _mm512_unpacklo_epi64(_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
}
// Two neighbouring halves, as floats.
inline __m512 low_halves(__m512i dwords) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(dwords)); }
inline __m512 high_halves(__m512i dwords) { return low_halves(_mm512_srli_epi32(dwords, 16)); }

// 2^23 + byte i of each dword, as floats.
inline __m512 byte_over_2_23(__m512i dwords, int i) {
  const __m512i pick = _mm512_add_epi32(_mm512_set4_epi32(12, 8, 4, 0), _mm512_set1_epi32(i));
  return _mm512_castsi512_ps(_mm512_mask_shuffle_epi8(_mm512_set1_epi32(0x4b000000), 0x1111111111111111, dwords, pick));
}

// Sixteen bytes of nibbles, the low ones first.
inline __attribute__((always_inline)) void store_nibbles(const __m512i (&v)[4], uint8_t* out) {
#pragma GCC unroll 4
  for (size_t j = 0; j < 4; ++j) {
    store(out + 64 * j, low_nibbles(v[j]));
    store(out + 64 * (j + 4), high_nibbles(v[j]));
  }
}

// The codes of q4_0 and q4_1: 16 bytes of nibbles at kAt of a block. A group's first half lies in the low ones.
template <size_t kAt>
struct Nibbles {
  static constexpr size_t kAtOnce = 1, kShift = 0;
  static void codes(const Rows& rows, uint8_t* out) {
    __m512i v[4];
    load_fours(rows, kAt, v);
    store_nibbles(v, out);
  }
  static void quarters(const Rows& rows, size_t r, size_t half, size_t, __m512i (&codes)[1]) {
    const __m512i v = four_rows(rows, r, kAt);
    codes[0] = half == 0 ? low_nibbles(v) : high_nibbles(v);
  }
};

}  // namespace
}  // namespace kette::kernels::avx512
