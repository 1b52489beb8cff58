// The walk over weight rows and activations that the AVX2 dot kernels share. Internal linkage only.
#pragma once

#include "kernels/avx2/floats.h"

namespace kette::kernels::avx2 {
namespace {

// Rows in flight: activations are loaded once for all of them, and the memory streams overlap.
constexpr int kRows = 4;
constexpr size_t kNearBytes = 6 << 10;

// A Format says how its file's blocks meet an activation:
//   kWeights, kBytes     a step: one or a few blocks
//   kQ8                  whether it reads the integer form
//   X activation(x)      what a step needs of an activation, made once for all rows
//   W unpack(blocks)     what a step needs of a row, made once for all activations
//   add(w, x, sum)       sum + the step's products, lane by lane
// Rows beyond the last repeat it and are not stored, so every row takes the same path.

// The last n < kWeights of an activation, followed by zeros.
template <class Format>
struct Padded {
  float f32[Format::kWeights];
  int8_t q[Format::kWeights];
  float scale[(Format::kWeights + 31) / 32], sum16[(Format::kWeights + 15) / 16];

  Activation take(const Activation& x, size_t from, size_t n) {
    memset(this, 0, sizeof(*this));
    if (Format::kQ8) {
      memcpy(q, x.q + from, n);
      memcpy(scale, x.scale + from / 32, n / 32 * sizeof(float));
      memcpy(sum16, x.sum16 + from / 16, n / 16 * sizeof(float));
    } else {
      memcpy(f32, x.f32 + from, n * sizeof(float));
    }
    return {f32, q, scale, sum16};
  }
};

inline Activation at(const Activation& x, size_t k, bool q8) {
  if (q8) return {nullptr, x.q + k, x.scale + k / 32, x.sum16 + k / 16};
  return {x.f32 + k, nullptr, nullptr, nullptr};
}

// Rows [row, row + kRows) times activations [column, column + M).
template <class Format, int M>
inline void dot_tile(const DotArgs& a, size_t row, size_t column) {
  const uint8_t* w[kRows];
  // The rows after these are fetched meanwhile, in the order in which they lie: hardware does not follow streams as
  // short as a row. A prefetch beyond the last row is harmless. Long rows would drive each other out of the first level.
  const uint8_t* next = a.weight + (row + kRows) * a.row_bytes;
  const bool near = kRows * a.row_bytes <= kNearBytes;
  __m256 sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    w[r] = a.weight + (index < a.rows ? index : a.rows - 1) * a.row_bytes;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sum[r][i] = _mm256_setzero_ps();
  }
  typename Format::X x[M];
  const size_t whole = a.k / Format::kWeights * Format::kWeights;
  for (size_t k = 0; k < whole; k += Format::kWeights) {
    // Not a function: GCC takes one that only prefetches for one without effect, and drops its calls.
    const char* from = reinterpret_cast<const char*>(next);
    if (near) {
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows * Format::kBytes; i += 64) _mm_prefetch(from + i, _MM_HINT_T0);
    } else {
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows * Format::kBytes; i += 64) _mm_prefetch(from + i, _MM_HINT_T1);
    }
    next += kRows * Format::kBytes;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) x[i] = Format::activation(at(a.x[column + static_cast<size_t>(i)], k, Format::kQ8));
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const typename Format::W unpacked = Format::unpack(w[r]);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = Format::add(unpacked, x[i], sum[r][i]);
      w[r] += Format::kBytes;
    }
  }
  if (whole < a.k) {
    Padded<Format> padded[M];
    for (int i = 0; i < M; ++i)
      x[i] = Format::activation(padded[i].take(a.x[column + static_cast<size_t>(i)], whole, a.k - whole));
    const size_t bytes = a.row_bytes - whole / Format::kWeights * Format::kBytes;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      uint8_t blocks[Format::kBytes] = {};
      memcpy(blocks, w[r], bytes);
      const typename Format::W unpacked = Format::unpack(blocks);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sum[r][i] = Format::add(unpacked, x[i], sum[r][i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    if (index >= a.rows) break;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] = total(sum[r][i]);
  }
}

template <class Format>
inline void dot_rows(const DotArgs& a) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    size_t column = 0;
    for (; column + 2 <= a.m; column += 2) dot_tile<Format, 2>(a, row, column);
    if (column < a.m) dot_tile<Format, 1>(a, row, column);
  }
}

inline __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m256 both(__m128 v) { return _mm256_set_m128(v, v); }

// unsigned codes [32] times x [32], summed in fours. Codes of at most 128 cannot overflow the 16-bit pairs:
// 2 * 128 * 127 < 2^15.
inline __m256i dot32(__m256i codes, __m256i x) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1));
}

inline __m256 scaled_add(__m256i dot, __m256 scale, __m256 sum) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sum);
}

// Sixteen bytes of nibbles: the low ones, then the high ones.
inline __m256i nibbles(const uint8_t* p) {
  const __m128i v = load16(p);
  const __m256i two = _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);
  return _mm256_and_si256(two, _mm256_set1_epi8(15));
}

// Four halves at p, p + step, ... as floats.
inline __m128 load_half_x4(const uint8_t* p, size_t step) {
  uint16_t h[4];
  for (size_t i = 0; i < 4; ++i) memcpy(&h[i], p + i * step, 2);
  __m128i v = _mm_cvtsi32_si128(h[0]);
  v = _mm_insert_epi16(v, h[1], 1);
  v = _mm_insert_epi16(v, h[2], 2);
  return _mm_cvtph_ps(_mm_insert_epi16(v, h[3], 3));
}

}  // namespace
}  // namespace kette::kernels::avx2
