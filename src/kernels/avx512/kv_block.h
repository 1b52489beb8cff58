// Cached keys and values as floats: keys transposed, values row by row. Each type of kv_types.inc has its reader here
// or goes through its decoder. Internal linkage only.
#pragma once

#include "kernels/attend_walk.h"
#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"

namespace kette::kernels::avx512 {
namespace {

enum : size_t { kQ8Numbers = 32, kQ8Bytes = 34 };

// The rows of a block's keys, of which n count. What lies `ahead` of what is read is asked for.
struct KeyRows {
  const std::byte* key;
  size_t stride, n;
  ptrdiff_t ahead;
};

// Keys are read 16 bytes at a time: pieces of so many numbers.
template <KvType kType>
constexpr size_t kPiece = 8;
template <>
constexpr size_t kPiece<KvType::kF32> = 4;
template <>
constexpr size_t kPiece<KvType::kQ8_0> = 16;

// Where in a row the piece is that begins with number d.
template <KvType kType>
inline size_t piece_at(size_t d) {
  if (kType == KvType::kQ8_0) return d / kQ8Numbers * kQ8Bytes + 2 + d % kQ8Numbers;
  return 16 / kPiece<kType> * d;
}

// piece(t) of 16 keys, transposed: dword i of all of them in v[i]. Few registers are in use, and the quarters come from
// memory: a shuffle less for each number than from whole vectors of a key.
template <class Piece>
inline __attribute__((always_inline)) void load_pieces(const Piece& piece, __m512i v[4]) {
#pragma GCC unroll 4
  for (size_t j = 0; j < 4; ++j) {
    v[j] = _mm512_castsi128_si512(piece(j));
    v[j] = _mm512_inserti32x4(v[j], piece(4 + j), 1);
    v[j] = _mm512_inserti32x4(v[j], piece(8 + j), 2);
    v[j] = _mm512_inserti32x4(v[j], piece(12 + j), 3);
  }
  transpose_quarters(v);
}

// f(i, number i of 16 keys' pieces) for i < n in order; scale is of q8_0.
template <KvType kType, class F>
inline __attribute__((always_inline)) void each_number(const __m512i v[4], __m512 scale, size_t n, const F& f) {
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const size_t at = i * kPiece<kType> / 4;
    if (at >= n) break;
    if constexpr (kType == KvType::kF32) f(at, _mm512_castsi512_ps(v[i]));
    if constexpr (kType == KvType::kF16) {
      f(at, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v[i])));
      f(at + 1, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v[i], 16))));
    }
    if constexpr (kType == KvType::kBf16) {
      f(at, _mm512_castsi512_ps(_mm512_slli_epi32(v[i], 16)));
      f(at + 1, _mm512_castsi512_ps(_mm512_and_si512(v[i], _mm512_set1_epi32(-0x10000))));
    }
    if constexpr (kType == KvType::kQ8_0) {
      const __m512i q[4] = {_mm512_slli_epi32(v[i], 24), _mm512_slli_epi32(v[i], 16), _mm512_slli_epi32(v[i], 8), v[i]};
#pragma GCC unroll 4
      for (size_t j = 0; j < 4; ++j)
        if (at + j < n) f(at + j, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_srai_epi32(q[j], 24))));
    }
  }
}

// half(t) of 16 keys as floats.
template <class Half>
inline __attribute__((always_inline)) __m512 q8_scales(const Half& half) {
  const __m128i low = _mm_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5), half(6), half(7));
  const __m128i high = _mm_setr_epi16(half(8), half(9), half(10), half(11), half(12), half(13), half(14), half(15));
  return _mm512_cvtph_ps(_mm256_set_m128i(high, low));
}

// f(t, piece, scale) for both halves of a block: n numbers from d on, where a piece begins, of the keys t to t + 15, as
// each_number takes them. kWhole: all keys count, and all of the piece's numbers; others are zero and not read.
template <KvType kType, bool kWhole, class F>
inline __attribute__((always_inline)) void each_half(const KeyRows& keys, size_t d, size_t n, const F& f) {
  const std::byte *row = keys.key + piece_at<kType>(d), *block = keys.key + d / kQ8Numbers * kQ8Bytes;
  // A quarter of the rows at each of four pieces, which are a line or about one.
  const std::byte* next = row + d / kPiece<kType> % 4 * keys.stride + keys.ahead;
#pragma GCC unroll 8
  for (size_t t = 0; t < kBlock; t += 4) ask_for(next + t * keys.stride);
  const __mmask16 dwords = first(kType == KvType::kQ8_0 ? 4 : (n * 4 + kPiece<kType> - 1) / kPiece<kType>);
#pragma GCC unroll 2
  for (size_t from = 0; from < kBlock; from += 16) {
    const auto piece = [=](size_t t) __attribute__((always_inline)) {
      const std::byte* p = row + (from + t) * keys.stride;
      if (kWhole) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      return _mm_maskz_loadu_epi32(static_cast<__mmask8>(from + t < keys.n ? dwords : 0), p);
    };
    const auto half = [=](size_t t) __attribute__((always_inline)) {
      short h = 0;
      if (kWhole || from + t < keys.n) memcpy(&h, block + (from + t) * keys.stride, sizeof h);
      return h;
    };
    __m512i v[4];
    load_pieces(piece, v);
    f(from, v, kType == KvType::kQ8_0 ? q8_scales(half) : _mm512_setzero_ps());
  }
}

// f(t, d, number d of the keys t to t + 15), for both halves of a whole block and one piece, each half's in order of d.
template <KvType kType, class F>
inline __attribute__((always_inline)) void each_of_piece(const KeyRows& keys, size_t d, const F& f) {
  each_half<kType, true>(
      keys, d, kPiece<kType>, [&](size_t t, const __m512i v[4], __m512 scale) __attribute__((always_inline)) {
        each_number<kType>(
            v, scale,
            kPiece<kType>, [&](size_t i, __m512 number) __attribute__((always_inline)) { f(t, d + i, number); });
      });
}

// f(t, d, n, piece, scale) for both halves of a block and every piece: n numbers from d on of the keys t to t + 15.
template <KvType kType, class F>
inline __attribute__((always_inline)) void each_piece(const KeyRows& keys, size_t key_dim, const F& f) {
  constexpr size_t kNumbers = kPiece<kType>;
  size_t d = 0;
  if (keys.n == kBlock)
    for (; d + kNumbers <= key_dim; d += kNumbers)
      each_half<kType, true>(
          keys, d, kNumbers, [&](size_t t, const __m512i v[4], __m512 scale) __attribute__((always_inline)) {
            f(t, d, kNumbers, v, scale);
          });
  for (; d < key_dim; d += kNumbers) {
    const size_t n = key_dim - d < kNumbers ? key_dim - d : kNumbers;
    each_half<kType, false>(
        keys, d,
        n, [&](size_t t, const __m512i v[4], __m512 scale) __attribute__((always_inline)) { f(t, d, n, v, scale); });
  }
}

inline __m512 q8_scale(const std::byte* block) {
  uint16_t half;
  memcpy(&half, block, sizeof half);
  return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

// Numbers d to d + 16 C - 1 of a row, of the last sixteen of which n are there; d is a multiple of 32, C at most 2.
// What lies `ahead` is asked for.
template <KvType kType, int C>
inline void load_sixteens(const std::byte* row, size_t d, size_t n, ptrdiff_t ahead, __m512 v[C]) {
  ask_for(row + (kType == KvType::kQ8_0 ? d : kType == KvType::kF32 ? 4 * d : 2 * d) + ahead);
  if (kType == KvType::kF32 && C > 1) ask_for(row + 4 * d + 64 + ahead);
  const std::byte* block = row + d / kQ8Numbers * kQ8Bytes;
  const __m512 scale = kType == KvType::kQ8_0 ? q8_scale(block) : _mm512_setzero_ps();
#pragma GCC unroll 2
  for (int c = 0; c < C; ++c) {
    const size_t at = d + static_cast<size_t>(16 * c);
    const __mmask16 there = first(c == C - 1 ? n : 16);
    if (kType == KvType::kF32) v[c] = _mm512_maskz_loadu_ps(there, row + 4 * at);
    if (kType == KvType::kF16) v[c] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(there, row + 2 * at));
    if (kType == KvType::kBf16) v[c] = from_bf16(_mm256_maskz_loadu_epi16(there, row + 2 * at));
    if (kType == KvType::kQ8_0) {
      const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 2 + 16 * c));
      v[c] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)));
    }
  }
}

// n values, `out_stride` (a multiple of 16) apart.
template <KvType kType>
void load_values(const std::byte* value, size_t stride, size_t value_dim, size_t n, ptrdiff_t ahead, float* out,
                 size_t out_stride) {
  for (size_t t = 0; t < n; ++t, value += stride, out += out_stride) {
    size_t d = 0;
    __m512 v[2];
    for (; d + 32 <= value_dim; d += 32) {
      load_sixteens<kType, 2>(value, d, 16, ahead, v);
      _mm512_storeu_ps(out + d, v[0]);
      _mm512_storeu_ps(out + d + 16, v[1]);
    }
    if (value_dim - d > 16) {
      load_sixteens<kType, 2>(value, d, value_dim - d - 16, ahead, v);
      _mm512_storeu_ps(out + d + 16, v[1]);
    } else if (value_dim > d) {
      load_sixteens<kType, 1>(value, d, value_dim - d, ahead, v);
    } else {
      continue;
    }
    _mm512_storeu_ps(out + d, v[0]);
  }
}

template <KvType kType>
void load_keys(const KeyRows& keys, size_t key_dim, float* out) {
  each_piece<kType>(
      keys,
      key_dim, [=](size_t t, size_t d, size_t n, const __m512i v[4], __m512 scale) __attribute__((always_inline)) {
        each_number<kType>(
            v, scale, n, [=](size_t i, __m512 number) __attribute__((always_inline)) {
              _mm512_store_ps(out + (d + i) * kBlock + t, number);
            });
      });
}

// The keys of the block at position `from`, of which n positions count, transposed.
inline void load_keys(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out) {
  const KeyRows keys{key_rows(a, from), a.key_stride, n, ahead};
  if (by_type(a.kv_type, [&]<KvType kType>(OfType<kType>) { load_keys<kType>(keys, a.key_dim, out); })) return;
  for (size_t t = 0; t < kBlock; ++t) {
    if (t < n) decode_row(a, keys.key + t * keys.stride, a.key_dim, out + t, kBlock);
    for (size_t d = 0; t >= n && d < a.key_dim; ++d) out[d * kBlock + t] = 0;
  }
}

// Its first n values.
inline void load_values(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out, size_t out_stride) {
  const std::byte* value = value_rows(a, from);
  const auto load = [&]<KvType kType>(OfType<kType>) {
    load_values<kType>(value, a.value_stride, a.value_dim, n, ahead, out, out_stride);
  };
  if (by_type(a.kv_type, load)) return;
  for (size_t t = 0; t < n; ++t) decode_row(a, value + t * a.value_stride, a.value_dim, out + t * out_stride, 1);
}

}  // namespace
}  // namespace kette::kernels::avx512
