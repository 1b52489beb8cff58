// Panels of any format: sixteen rows are decoded to floats in small pieces and transposed.
#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"
#include "kernels/decode_weights.h"

namespace kette::kernels::avx512 {
namespace {

constexpr size_t kRows = 16, kPiece = 256, kWidth = KETTE_PANEL_WIDTH;

// The 32 numbers of v0, v1: dword i holds number 2i in its low and 2i + 1 in its high half.
__m512i bf16_pairs(__m512 v0, __m512 v1) {
  const __m512i low = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(to_bf16_dwords(v0)));
  return _mm512_inserti64x4(low, _mm512_cvtepi32_epi16(to_bf16_dwords(v1)), 1);
}

// rows [16][kPiece] at numbers [0, n) -> panel lines [n][16 of kWidth]
void pack_f32(const float* rows, size_t n, float* panel) {
  for (size_t k = 0; k < n; k += 16) {
    const size_t lines = n - k < 16 ? n - k : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t row = 0; row < 16; ++row) v[row] = _mm512_load_si512(rows + row * kPiece + k);
    transpose(v);
    if (lines == 16) {
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(panel + (k + i) * kWidth, v[i]);
    } else {
      for (size_t i = 0; i < lines; ++i) _mm512_storeu_si512(panel + (k + i) * kWidth, v[i]);
    }
  }
}

// The same into lines of pairs; n is even.
void pack_bf16(const float* rows, size_t n, uint16_t* panel) {
  for (size_t k = 0; k < n; k += 32) {
    const size_t lines = n - k < 32 ? (n - k) / 2 : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t row = 0; row < 16; ++row) {
      const float* from = rows + row * kPiece + k;
      v[row] = bf16_pairs(_mm512_load_ps(from), _mm512_load_ps(from + 16));
    }
    transpose(v);
    if (lines == 16) {
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(panel + (k / 2 + i) * kWidth * 2, v[i]);
    } else {
      for (size_t i = 0; i < lines; ++i) _mm512_storeu_si512(panel + (k / 2 + i) * kWidth * 2, v[i]);
    }
  }
}

// pack(rows, k, n) for each piece of each sixteen rows.
template <class Pack>
void unpack(const UnpackArgs& a, const Pack& pack) {
  alignas(64) float numbers[kRows * kPiece];
  const size_t piece = kPiece / a.block_size * a.block_size;
  for (size_t row = 0; row < a.rows; row += kRows) {
    for (size_t k = 0; k < a.depth; k += piece) {
      const size_t n = a.depth - k < piece ? a.depth - k : piece, stored = k < a.n ? a.n - k : 0;
      for (size_t r = 0; r < kRows; ++r) {
        float* out = numbers + r * kPiece;
        const size_t some = row + r >= a.rows ? 0 : stored < n ? stored : n;
        if (some != 0) decode_weights(a, row + r, k, some, a.first_column, out);
        memset(out + some, 0, (n - some) * sizeof(float));
      }
      pack(numbers, row, k, n);
    }
  }
}

}  // namespace

void unpack_any_f32(const UnpackArgs& a) {
  unpack(a, [&](const float* numbers, size_t row, size_t k, size_t n) {
    pack_f32(numbers, n, static_cast<float*>(a.panel) + k * kWidth + row);
  });
}

void unpack_any_bf16(const UnpackArgs& a) {
  unpack(a, [&](const float* numbers, size_t row, size_t k, size_t n) {
    pack_bf16(numbers, n, static_cast<uint16_t*>(a.panel) + (k * kWidth + row * 2));
  });
}

}  // namespace kette::kernels::avx512
