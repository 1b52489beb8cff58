// Cached keys and values as floats: sixteen keys transposed, values row by row. Each type of kv_types.inc has its reader
// here or goes through its decoder. Internal linkage only.
#pragma once

#include "kernels/attend_walk.h"
#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"

namespace kette::kernels::avx512 {
namespace {

enum : size_t { kQ8Numbers = 32, kQ8Bytes = 34 };

// Sixteen keys' dims become rows of 16 keys, kBlock apart. Keys from `n` on are zero and not read.
inline void keys_f32(const std::byte* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 16) {
    const size_t dims = key_dim - d < 16 ? key_dim - d : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t t = 0; t < 16; ++t)
      v[t] = _mm512_maskz_loadu_epi32(t < n ? first(dims) : __mmask16{0}, key + t * stride + 4 * d);
    transpose(v);
    for (size_t i = 0; i < dims; ++i) _mm512_store_si512(out + (d + i) * kBlock, v[i]);
  }
}

template <KvType kType>
inline __m512 low_half(__m512i v) {
  if (kType == KvType::kBf16) return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

template <KvType kType>
inline __m512 high_half(__m512i v) {
  if (kType == KvType::kBf16) return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(-0x10000)));
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}

// As above from 16-bit numbers, transposed in pairs.
template <KvType kType>
void keys_16bit(const std::byte* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 32) {
    const size_t pairs = key_dim - d < 32 ? (key_dim - d) / 2 : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t t = 0; t < 16; ++t)
      v[t] = _mm512_maskz_loadu_epi32(t < n ? first(pairs) : __mmask16{0}, key + t * stride + 2 * d);
    transpose(v);
    for (size_t i = 0; i < pairs; ++i) {
      _mm512_store_ps(out + (d + 2 * i) * kBlock, low_half<kType>(v[i]));
      _mm512_store_ps(out + (d + 2 * i + 1) * kBlock, high_half<kType>(v[i]));
    }
  }
}

inline __m256i q8_numbers(const std::byte* block) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 2));
}

inline __m512 q8_scale(const std::byte* block) {
  uint16_t half;
  memcpy(&half, block, sizeof half);
  return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

// As above from blocks of q8_0, two of each key at a time, transposed in fours.
inline void keys_q8_0(const std::byte* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 2 * kQ8Numbers, key += 2 * kQ8Bytes) {
    const size_t dims = key_dim - d < 2 * kQ8Numbers ? key_dim - d : 2 * kQ8Numbers;
    const bool two = dims > kQ8Numbers;
    alignas(32) uint16_t halves[2][16] = {};
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t t = 0; t < 16; ++t) {
      const std::byte *block = key + t * stride, *next = two ? block + kQ8Bytes : block;
      v[t] = t < n ? _mm512_inserti64x4(_mm512_castsi256_si512(q8_numbers(block)), q8_numbers(next), 1)
                   : _mm512_setzero_si512();
      if (t < n) memcpy(&halves[0][t], block, sizeof halves[0][t]);
      if (t < n) memcpy(&halves[1][t], next, sizeof halves[1][t]);
    }
    transpose(v);
    for (size_t i = 0; 4 * i < dims; ++i) {
      const __m512 scale = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(halves[i / 8])));
      const __m512i q[4] = {_mm512_slli_epi32(v[i], 24), _mm512_slli_epi32(v[i], 16), _mm512_slli_epi32(v[i], 8), v[i]};
#pragma GCC unroll 4
      for (size_t j = 0; j < 4; ++j)
        if (4 * i + j < dims)
          _mm512_store_ps(out + (d + 4 * i + j) * kBlock,
                          _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_srai_epi32(q[j], 24))));
    }
  }
}

// Numbers d to d + 16 C - 1 of a row, of the last sixteen of which n are there; d is a multiple of 32, C at most 2.
template <KvType kType, int C>
inline void load_sixteens(const std::byte* row, size_t d, size_t n, __m512 v[C]) {
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
void load_values(const std::byte* value, size_t stride, size_t value_dim, size_t n, float* out, size_t out_stride) {
  for (size_t t = 0; t < n; ++t, value += stride, out += out_stride) {
    size_t d = 0;
    __m512 v[2];
    for (; d + 32 <= value_dim; d += 32) {
      load_sixteens<kType, 2>(value, d, 16, v);
      _mm512_storeu_ps(out + d, v[0]);
      _mm512_storeu_ps(out + d + 16, v[1]);
    }
    if (value_dim - d > 16) {
      load_sixteens<kType, 2>(value, d, value_dim - d - 16, v);
      _mm512_storeu_ps(out + d + 16, v[1]);
    } else if (value_dim > d) {
      load_sixteens<kType, 1>(value, d, value_dim - d, v);
    } else {
      continue;
    }
    _mm512_storeu_ps(out + d, v[0]);
  }
}

// The keys of the block at position `from`, of which n positions count, transposed.
inline void load_keys(const AttendArgs& a, size_t from, size_t n, float* out) {
  const std::byte* key = key_rows(a, from);
  for (size_t t = 0; t < kBlock; t += 16, key += 16 * a.key_stride) {
    const size_t valid = n > t ? n - t : 0;
    switch (a.kv_type) {
      case KvType::kF32: keys_f32(key, a.key_stride, a.key_dim, valid, out + t); break;
      case KvType::kF16: keys_16bit<KvType::kF16>(key, a.key_stride, a.key_dim, valid, out + t); break;
      case KvType::kBf16: keys_16bit<KvType::kBf16>(key, a.key_stride, a.key_dim, valid, out + t); break;
      case KvType::kQ8_0: keys_q8_0(key, a.key_stride, a.key_dim, valid, out + t); break;
      default:
        for (size_t i = 0; i < 16; ++i) {
          if (i < valid) decode_row(a, key + i * a.key_stride, a.key_dim, out + t + i, kBlock);
          for (size_t d = 0; i >= valid && d < a.key_dim; ++d) out[d * kBlock + t + i] = 0;
        }
    }
  }
}

// Its first n values.
inline void load_values(const AttendArgs& a, size_t from, size_t n, float* out, size_t out_stride) {
  const std::byte* value = value_rows(a, from);
  switch (a.kv_type) {
    case KvType::kF32: return load_values<KvType::kF32>(value, a.value_stride, a.value_dim, n, out, out_stride);
    case KvType::kF16: return load_values<KvType::kF16>(value, a.value_stride, a.value_dim, n, out, out_stride);
    case KvType::kBf16: return load_values<KvType::kBf16>(value, a.value_stride, a.value_dim, n, out, out_stride);
    case KvType::kQ8_0: return load_values<KvType::kQ8_0>(value, a.value_stride, a.value_dim, n, out, out_stride);
  }
  for (size_t t = 0; t < n; ++t) decode_row(a, value + t * a.value_stride, a.value_dim, out + t * out_stride, 1);
}

}  // namespace
}  // namespace kette::kernels::avx512
