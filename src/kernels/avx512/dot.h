// The walk over weight rows and activations that the AVX-512 dot kernels share. Internal linkage only.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512 {
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
  __m512 sum[kRows][M];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const size_t index = row + static_cast<size_t>(r);
    w[r] = a.weight + (index < a.rows ? index : a.rows - 1) * a.row_bytes;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sum[r][i] = _mm512_setzero_ps();
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
      a.y[(column + static_cast<size_t>(i)) * a.y_stride + index] = _mm512_reduce_add_ps(sum[r][i]);
  }
}

template <class Format>
inline void dot_rows(const DotArgs& a) {
  for (size_t row = 0; row < a.rows; row += kRows) {
    size_t column = 0;
    for (; column + 4 <= a.m; column += 4) dot_tile<Format, 4>(a, row, column);
    if (column + 2 <= a.m) {
      dot_tile<Format, 2>(a, row, column);
      column += 2;
    }
    if (column < a.m) dot_tile<Format, 1>(a, row, column);
  }
}

inline __m512i load(const void* p) { return _mm512_loadu_si512(p); }
inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// Four lines of 16 bytes at p, p + step, ...
inline __m512i load16x4(const uint8_t* p, size_t step) {
  __m512i v = _mm512_castsi128_si512(load16(p));
  v = _mm512_inserti32x4(v, load16(p + step), 1);
  v = _mm512_inserti32x4(v, load16(p + 2 * step), 2);
  return _mm512_inserti32x4(v, load16(p + 3 * step), 3);
}

// Four halves at p, p + step, ... as floats.
inline __m128 load_half_x4(const uint8_t* p, size_t step) {
  uint16_t h[4];
  for (int i = 0; i < 4; ++i) memcpy(&h[i], p + static_cast<size_t>(i) * step, 2);
  __m128i v = _mm_cvtsi32_si128(h[0]);
  v = _mm_insert_epi16(v, h[1], 1);
  v = _mm_insert_epi16(v, h[2], 2);
  return _mm_cvtph_ps(_mm_insert_epi16(v, h[3], 3));
}

// Each of four floats four times.
inline __m512 spread4(__m128 v) {
  const __m512i index = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_ps(index, _mm512_castps128_ps512(v));
}

// -offset * x summed in fours: where products of unsigned codes start from when a code means code - offset.
inline __m512i start(__m512i x, int offset) {
  const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(static_cast<char>(offset)), x);
  return _mm512_sub_epi32(_mm512_setzero_si512(), sum);
}

}  // namespace
}  // namespace kette::kernels::avx512
