// Block formats into a bfloat16 panel. Bytes are transposed before they become numbers: a vector holds two numbers of
// each of eight rows in turn, so that the rows' factors are a vector too and two such vectors, narrowed, are a line of the
// panel as it lies. Internal linkage only.
#pragma once

#include "kernels/avx2/codes.h"
#include "kernels/avx512/transpose.h"
#include "kernels/avx512_bf16/unpack.h"

namespace kette::kernels::avx512_bf16 {
namespace {

constexpr size_t kGroup = 32, kStep = 256;

// Bytes 0 2 4 6 1 3 5 7 of each eight.
inline __m512i evens_then_odds(__m512i v) {
  const __m128i order = _mm_set_epi8(15, 13, 11, 9, 14, 12, 10, 8, 7, 5, 3, 1, 6, 4, 2, 0);
  return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(order));
}

// 32 bytes of each of eight rows: qword r of out[j] holds bytes 8j to 8j + 7 of row r, the even ones first.
inline void spread32(const __m256i* rows, __m512i* out) {
  const auto join = [&](int i, int j) { return _mm512_inserti64x4(_mm512_castsi256_si512(rows[i]), rows[j], 1); };
  const __m512i a = join(0, 2), b = join(1, 3), c = join(4, 6), d = join(5, 7);
  const __m512i ab = _mm512_unpacklo_epi64(a, b), cd = _mm512_unpacklo_epi64(c, d);
  const __m512i ab2 = _mm512_unpackhi_epi64(a, b), cd2 = _mm512_unpackhi_epi64(c, d);
  out[0] = evens_then_odds(_mm512_shuffle_i64x2(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)));
  out[1] = evens_then_odds(_mm512_shuffle_i64x2(ab2, cd2, _MM_SHUFFLE(2, 0, 2, 0)));
  out[2] = evens_then_odds(_mm512_shuffle_i64x2(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
  out[3] = evens_then_odds(_mm512_shuffle_i64x2(ab2, cd2, _MM_SHUFFLE(3, 1, 3, 1)));
}

// The same of 16 bytes.
inline void spread16(const uint8_t* const* rows, __m512i* out) {
  const auto at = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i])); };
  const auto join = [&](int i) {
    __m512i v = _mm512_castsi128_si512(at(i));
    v = _mm512_inserti32x4(v, at(i + 2), 1);
    v = _mm512_inserti32x4(v, at(i + 4), 2);
    return _mm512_inserti32x4(v, at(i + 6), 3);
  };
  const __m512i a = join(0), b = join(1);
  out[0] = evens_then_odds(_mm512_unpacklo_epi64(a, b));
  out[1] = evens_then_odds(_mm512_unpackhi_epi64(a, b));
}

// A factor of sixteen rows as the vectors of numbers want it: each twice, rows 0 to 7 and rows 8 to 15.
struct Twice {
  __m512 low, high;
};
inline Twice twice(__m512 v) {
  const __m512i low = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  return {_mm512_permutexvar_ps(low, v), _mm512_permutexvar_ps(_mm512_add_epi32(low, _mm512_set1_epi32(8)), v)};
}

// The factors of up to 256 numbers of each row: f[i] lane r is factor i of row r, see codes.h.
template <class Format>
inline void load_factors(const uint8_t* const* rows, size_t blocks, __m512* f) {
  if constexpr (Format::kNumbers == kGroup) {
    alignas(32) uint16_t step[8][kRows], offset[8][kRows];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t b = 0; b < blocks; ++b) {
        memcpy(&step[b][r], rows[r] + b * Format::kBytes, 2);
        if (Format::kOffsets) memcpy(&offset[b][r], rows[r] + b * Format::kBytes + 2, 2);
      }
    }
    const auto halves = [](const uint16_t* p) {
      return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
    };
    for (size_t b = 0; b < blocks; ++b) {
      f[b] = halves(step[b]);
      if (Format::kOffsets) f[8 + b] = halves(offset[b]);
    }
  } else {
    alignas(64) float row[kRows][16] = {};
    for (size_t r = 0; r < kRows; ++r) Format::factors(rows[r], row[r]);
    __m512i v[kRows];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) v[r] = _mm512_load_si512(row[r]);
    avx512::transpose(v);
#pragma GCC unroll 16
    for (size_t i = 0; i < kRows; ++i) f[i] = _mm512_castsi512_ps(v[i]);
  }
}

template <class Format>
inline __m512 number(__m512 code, __m512 step, __m512 offset) {
  return Format::kOffsets ? _mm512_fmadd_ps(code, step, offset) : _mm512_mul_ps(code, step);
}

// 32 numbers of sixteen rows, whose codes are bytes.
template <class Format>
inline void put_bytes(const Sixteen& rows, const uint8_t* const* blocks, size_t group, const __m512* f, size_t g,
                      size_t k) {
  __m512i low[4], high[4];
  __m256i v[8];
#pragma GCC unroll 8
  for (size_t r = 0; r < 8; ++r) v[r] = Format::codes(blocks[r], group);
  spread32(v, low);
#pragma GCC unroll 8
  for (size_t r = 0; r < 8; ++r) v[r] = Format::codes(blocks[r + 8], group);
  spread32(v, high);
  // A code comes in the top byte: 2^24 times itself.
  const __m512i top = _mm512_set1_epi32(static_cast<int>(0xff000000));
  const __m512 small = _mm512_set1_ps(0x1p-24f);
  const size_t runs = kGroup / Format::kRun;
  const Twice offset = Format::kOffsets ? twice(f[8 + g]) : Twice{small, small};
#pragma GCC unroll 2
  for (size_t run = 0; run < runs; ++run) {
    const Twice step = twice(_mm512_mul_ps(f[runs * g + run], small));
#pragma GCC unroll 4
    for (size_t j = 4 / runs * run; j < 4 / runs * (run + 1); ++j) {
#pragma GCC unroll 4
      for (size_t i = 0; i < 4; ++i) {
        const auto code = [&](__m512i bytes) {
          const __m512i left = _mm512_slli_epi32(bytes, static_cast<unsigned>(24 - 8 * i));
          return _mm512_cvtepi32_ps(i == 0 ? left : _mm512_and_si512(left, top));
        };
        rows.store(k + 8 * j + 2 * i, narrow(number<Format>(code(low[j]), step.low, offset.low),
                                             number<Format>(code(high[j]), step.high, offset.high)));
      }
    }
  }
}

// Numbers whose codes are the nibbles that begin kShift bits up in the bytes.
template <class Format, int kShift>
inline void put_nibbles(const Sixteen& rows, const __m512i* low, const __m512i* high, __m512 levels, const __m512* f,
                        size_t g, size_t k) {
  const Twice step = twice(f[g]), offset = Format::kOffsets ? twice(f[8 + g]) : step;
#pragma GCC unroll 4
  for (size_t j = 0; j < Format::kNibbles / 8; ++j) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      // The look-up reads four bits of each lane.
      const auto code = [&](__m512i v) {
        return _mm512_permutexvar_ps(_mm512_srli_epi32(v, static_cast<unsigned>(8 * i + kShift)), levels);
      };
      rows.store(k + 8 * j + 2 * i, narrow(number<Format>(code(low[j]), step.low, offset.low),
                                           number<Format>(code(high[j]), step.high, offset.high)));
    }
  }
}

// As many bytes of nibbles, which are 32 or 64 numbers of sixteen rows.
template <class Format>
inline void put_both_nibbles(const Sixteen& rows, const uint8_t* const* blocks, size_t group, __m512 levels,
                             const __m512* f, size_t g, size_t k) {
  constexpr size_t kBytes = Format::kNibbles;
  const uint8_t* at[kRows];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) at[r] = Format::nibbles(blocks[r], group);
  __m512i low[kBytes / 8], high[kBytes / 8];
  if constexpr (kBytes == 16) {
    spread16(at, low);
    spread16(at + 8, high);
  } else {
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t r = 0; r < 8; ++r) v[r] = load32(at[r]);
    spread32(v, low);
#pragma GCC unroll 8
    for (size_t r = 0; r < 8; ++r) v[r] = load32(at[r + 8]);
    spread32(v, high);
  }
  put_nibbles<Format, 0>(rows, low, high, levels, f, g, k);
  put_nibbles<Format, 4>(rows, low, high, levels, f, g + kBytes / kGroup, k + kBytes);
}

template <class Format>
inline void unpack_codes(const UnpackArgs& a) {
  constexpr bool kSmall = Format::kNumbers == kGroup;
  __m512 levels = _mm512_setzero_ps();
  if constexpr (Format::kNibbles != 0) levels = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(Format::levels()));
  for (size_t row = 0; row < a.rows; row += kRows) {
    Sixteen rows(a, row);
    for (size_t k = 0; k < a.n; k += kStep) {
      const size_t groups = (a.n - k < kStep ? a.n - k : kStep) / kGroup;
      __m512 f[16];
      load_factors<Format>(rows.at, groups, f);
      constexpr size_t kAtOnce = Format::kNibbles == 32 ? 2 : 1;
      for (size_t g = 0; g < groups; g += kAtOnce) {
        const size_t group = kSmall ? 0 : g, at = k + kGroup * g;
        if constexpr (Format::kNibbles != 0)
          put_both_nibbles<Format>(rows, rows.at, group, levels, f, g, at);
        else
          put_bytes<Format>(rows, rows.at, group, f, g, at);
        if (kSmall) rows.advance(Format::kBytes);
      }
      if (!kSmall) rows.advance(Format::kBytes);
    }
    rows.clear(a, a.rows - row);
  }
}

}  // namespace
}  // namespace kette::kernels::avx512_bf16
