// Cached keys and values as floats: eight keys transposed, values row by row. Each type of kv_types.inc has its reader
// here or goes through its decoder. Internal linkage only.
#pragma once

#include "kernels/attend_walk.h"
#include "kernels/avx2/floats.h"
#include "kernels/avx2/transpose.h"

namespace kette::kernels::avx2 {
namespace {

enum : size_t { kQ8Numbers = 32, kQ8Bytes = 34 };

inline __m256i load_dwords(const void* p, size_t n) {
  return n >= 8 ? _mm256_loadu_si256(static_cast<const __m256i*>(p))
                : _mm256_maskload_epi32(static_cast<const int*>(p), first(n));
}

// Eight keys' dims become rows of 8 keys, kBlock apart. Keys from `n` on are zero and not read.
inline void keys_f32(const std::byte* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 8) {
    const size_t dims = key_dim - d < 8 ? key_dim - d : 8;
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t t = 0; t < 8; ++t) v[t] = t < n ? load_dwords(key + t * stride + 4 * d, dims) : _mm256_setzero_si256();
    transpose(v);
    for (size_t i = 0; i < dims; ++i) _mm256_store_ps(out + (d + i) * kBlock, _mm256_castsi256_ps(v[i]));
  }
}

// As above from 16-bit numbers, transposed in pairs.
template <KvType kType>
void keys_16bit(const std::byte* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 16) {
    const size_t pairs = key_dim - d < 16 ? (key_dim - d) / 2 : 8;
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t t = 0; t < 8; ++t) v[t] = t < n ? load_dwords(key + t * stride + 2 * d, pairs) : _mm256_setzero_si256();
    transpose(v);
    for (size_t i = 0; i < pairs; ++i) {
      __m256 even, odd;
      if (kType == KvType::kBf16) {
        even = _mm256_castsi256_ps(_mm256_slli_epi32(v[i], 16));
        odd = _mm256_castsi256_ps(_mm256_and_si256(v[i], _mm256_set1_epi32(-0x10000)));
      } else {
        const __m256i halves =
            low_halves(_mm256_and_si256(v[i], _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(v[i], 16));
        even = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
        odd = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
      }
      _mm256_store_ps(out + (d + 2 * i) * kBlock, even);
      _mm256_store_ps(out + (d + 2 * i + 1) * kBlock, odd);
    }
  }
}

inline __m256 q8_scale(const std::byte* block) {
  uint16_t half;
  memcpy(&half, block, sizeof half);
  return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

// As above from blocks of q8_0, transposed in fours.
inline void keys_q8_0(const std::byte* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += kQ8Numbers, key += kQ8Bytes) {
    const size_t dims = key_dim - d < kQ8Numbers ? key_dim - d : kQ8Numbers;
    alignas(16) uint16_t halves[8] = {};
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t t = 0; t < 8; ++t) {
      const std::byte* block = key + t * stride;
      v[t] = t < n ? load_dwords(block + 2, 8) : _mm256_setzero_si256();
      if (t < n) memcpy(&halves[t], block, sizeof halves[t]);
    }
    transpose(v);
    const __m256 scale = _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(halves)));
    const auto store = [&](size_t i, __m256i q) {
      if (i < dims) _mm256_store_ps(out + (d + i) * kBlock, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(q)));
    };
    for (size_t i = 0; 4 * i < dims; ++i) {
      store(4 * i, _mm256_srai_epi32(_mm256_slli_epi32(v[i], 24), 24));
      store(4 * i + 1, _mm256_srai_epi32(_mm256_slli_epi32(v[i], 16), 24));
      store(4 * i + 2, _mm256_srai_epi32(_mm256_slli_epi32(v[i], 8), 24));
      store(4 * i + 3, _mm256_srai_epi32(v[i], 24));
    }
  }
}

// The first n (up to 8) 16-bit numbers, n even.
inline __m128i load_narrow(const std::byte* p, size_t n) {
  if (n >= 8) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm_maskload_epi32(reinterpret_cast<const int*>(p), _mm256_castsi256_si128(first(n / 2)));
}

// Numbers d to d + 8 C - 1 of a row, of the last eight of which n are there; d is a multiple of 16, C at most 2.
// What lies `ahead` is asked for.
template <KvType kType, int C>
inline void load_eights(const std::byte* row, size_t d, size_t n, ptrdiff_t ahead, __m256 v[C]) {
  ask_for(row + (kType == KvType::kQ8_0 ? d : kType == KvType::kF32 ? 4 * d : 2 * d) + ahead);
  const std::byte* block = row + d / kQ8Numbers * kQ8Bytes;
  const __m256 scale = kType == KvType::kQ8_0 ? q8_scale(block) : _mm256_setzero_ps();
#pragma GCC unroll 2
  for (int c = 0; c < C; ++c) {
    const size_t at = d + static_cast<size_t>(8 * c), there = c == C - 1 ? n : 8;
    if (kType == KvType::kF32) v[c] = load_first(reinterpret_cast<const float*>(row) + at, there);
    if (kType == KvType::kF16) v[c] = _mm256_cvtph_ps(load_narrow(row + 2 * at, there));
    if (kType == KvType::kBf16) v[c] = from_bf16(load_narrow(row + 2 * at, there));
    if (kType == KvType::kQ8_0) {
      const __m128i q = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block + 2 + at % kQ8Numbers));
      v[c] = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)));
    }
  }
}

// n values, `out_stride` (a multiple of 8) apart.
template <KvType kType>
void load_values(const std::byte* value, size_t stride, size_t value_dim, size_t n, ptrdiff_t ahead, float* out,
                 size_t out_stride) {
  for (size_t t = 0; t < n; ++t, value += stride, out += out_stride) {
    size_t d = 0;
    __m256 v[2];
    for (; d + 16 <= value_dim; d += 16) {
      load_eights<kType, 2>(value, d, 8, ahead, v);
      _mm256_storeu_ps(out + d, v[0]);
      _mm256_storeu_ps(out + d + 8, v[1]);
    }
    if (value_dim - d > 8) {
      load_eights<kType, 2>(value, d, value_dim - d - 8, ahead, v);
      _mm256_storeu_ps(out + d + 8, v[1]);
    } else if (value_dim > d) {
      load_eights<kType, 1>(value, d, value_dim - d, ahead, v);
    } else {
      continue;
    }
    _mm256_storeu_ps(out + d, v[0]);
  }
}

// The keys of the block at position `from`, of which n positions count, transposed.
inline void load_keys(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out) {
  const std::byte* key = key_rows(a, from);
  const size_t bytes = (a.key_dim + a.block_size - 1) / a.block_size * a.block_bytes;
  for (size_t t = 0; t < kBlock; t += 8, key += 8 * a.key_stride) {
    const size_t valid = n > t ? n - t : 0;
    for (size_t i = 0; i < 8; ++i)
      for (size_t at = 0; at < bytes; at += 64) ask_for(key + i * a.key_stride + at + ahead);
    switch (a.kv_type) {
      case KvType::kF32: keys_f32(key, a.key_stride, a.key_dim, valid, out + t); break;
      case KvType::kF16: keys_16bit<KvType::kF16>(key, a.key_stride, a.key_dim, valid, out + t); break;
      case KvType::kBf16: keys_16bit<KvType::kBf16>(key, a.key_stride, a.key_dim, valid, out + t); break;
      case KvType::kQ8_0: keys_q8_0(key, a.key_stride, a.key_dim, valid, out + t); break;
      default:
        for (size_t i = 0; i < 8; ++i) {
          if (i < valid) decode_row(a, key + i * a.key_stride, a.key_dim, out + t + i, kBlock);
          for (size_t d = 0; i >= valid && d < a.key_dim; ++d) out[d * kBlock + t + i] = 0;
        }
    }
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
}  // namespace kette::kernels::avx2
