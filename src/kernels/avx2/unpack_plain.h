// Formats of single numbers into a float panel. A Format has the bytes of a number, and eight of them as floats.
// Internal linkage only.
#pragma once

#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {
namespace {

// Eight rows at numbers [k, k + lines) of each, times factor where there is one.
template <class Format>
inline void put_plain(const Eight& rows, size_t k, size_t lines, bool scaled, __m256 factor) {
  constexpr size_t kBytes = Format::kBytes;
  __m256i v[kRows];
  if (lines == kRows) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) v[r] = _mm256_castps_si256(Format::load(rows.at[r] + k * kBytes));
  } else {
    for (size_t r = 0; r < kRows; ++r) {
      uint8_t rest[kRows * kBytes] = {};
      memcpy(rest, rows.at[r] + k * kBytes, lines * kBytes);
      v[r] = _mm256_castps_si256(Format::load(rest));
    }
  }
  transpose(v);
#pragma GCC unroll 8
  for (size_t i = 0; i < kRows; ++i) {
    if (i >= lines) break;
    const __m256 numbers = _mm256_castsi256_ps(v[i]);
    _mm256_store_ps(rows.panel + (k + i) * kWidth, scaled ? _mm256_mul_ps(numbers, factor) : numbers);
  }
}

template <class Format>
inline void unpack_plain(const UnpackArgs& a) {
  const size_t columns = (a.rows + 15) / 16 * 16;
  for (size_t row = 0; row < columns; row += kRows) {
    const Eight rows(a, row);
    for (size_t k = 0; k < a.n && row < a.rows;) {
      // To the end of a tile.
      const size_t tile = a.first_column + k, left = KETTE_TILE - tile % KETTE_TILE;
      const size_t end = a.n - k < left ? a.n : k + left;
      alignas(32) float factor[kRows] = {};
      for (size_t r = 0; r < kRows && a.tile_scale != nullptr; ++r) {
        const size_t index = a.first_row + (row + r < a.rows ? row + r : a.rows - 1);
        factor[r] = a.tile_scale[index / KETTE_TILE * a.tile_stride + tile / KETTE_TILE];
      }
      const __m256 by = _mm256_load_ps(factor);
      for (; k + kRows <= end; k += kRows) put_plain<Format>(rows, k, kRows, a.tile_scale != nullptr, by);
      if (k < end) put_plain<Format>(rows, k, end - k, a.tile_scale != nullptr, by);
      k = end;
    }
    rows.clear(a, row < a.rows ? a.rows - row : 0);
  }
}

}  // namespace
}  // namespace kette::kernels::avx2
