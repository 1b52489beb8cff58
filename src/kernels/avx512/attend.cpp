// Attention over blocks of 32 positions: keys are transposed and values widened once per block for all rows, then
// tiles of up to 8 rows go through scores, online softmax and the weighted sum of values.
#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"
#include "kernels/avx512/vector.h"

namespace kette::kernels::avx512 {
namespace {

enum : size_t { kBlock = KETTE_ATTEND_BLOCK, kTile = 8 };

// Where a block's parts lie in AttendArgs::scratch.
struct Scratch {
  float* key;    // [key_dim][kBlock]
  float* value;  // [kBlock][value_stride]
  size_t value_stride;
  float* weight;   // [rows][kBlock]
  float* largest;  // [rows]
  float* sum;      // [rows]
};

Scratch divide(const AttendArgs& a) {
  Scratch s;
  s.value_stride = (a.value_dim + 15) / 16 * 16;
  s.key = a.scratch;
  s.value = s.key + kBlock * a.key_dim;
  s.weight = s.value + kBlock * s.value_stride;
  s.largest = s.weight + a.rows * kBlock;
  s.sum = s.largest + a.rows;
  return s;
}

// Sixteen keys at d: dims become rows of 16 keys. Keys from `n` on are zero and not read.
void transpose_f32(const float* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 16) {
    const size_t dims = key_dim - d < 16 ? key_dim - d : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t t = 0; t < 16; ++t)
      v[t] = _mm512_maskz_loadu_epi32(t < n ? first(dims) : __mmask16{0}, key + t * stride + d);
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
void transpose_16bit(const uint16_t* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 32) {
    const size_t pairs = key_dim - d < 32 ? (key_dim - d) / 2 : 16;
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t t = 0; t < 16; ++t)
      v[t] = _mm512_maskz_loadu_epi32(t < n ? first(pairs) : __mmask16{0}, key + t * stride + d);
    transpose(v);
    for (size_t i = 0; i < pairs; ++i) {
      _mm512_store_ps(out + (d + 2 * i) * kBlock, low_half<kType>(v[i]));
      _mm512_store_ps(out + (d + 2 * i + 1) * kBlock, high_half<kType>(v[i]));
    }
  }
}

// The block at position `from`, of which n positions count: it lies within one page.
void load_keys(const AttendArgs& a, size_t from, size_t n, float* out) {
  const std::byte* key = a.pages[from / KETTE_KV_PAGE] + a.key_at;
  for (size_t t = 0; t < kBlock; t += 16) {
    const size_t valid = n > t ? n - t : 0, at = (from % KETTE_KV_PAGE + t) * a.key_stride;
    if (a.kv_type == KvType::kF32)
      transpose_f32(reinterpret_cast<const float*>(key) + at, a.key_stride, a.key_dim, valid, out + t);
    else if (a.kv_type == KvType::kF16)
      transpose_16bit<KvType::kF16>(reinterpret_cast<const uint16_t*>(key) + at, a.key_stride, a.key_dim, valid,
                                    out + t);
    else
      transpose_16bit<KvType::kBf16>(reinterpret_cast<const uint16_t*>(key) + at, a.key_stride, a.key_dim, valid,
                                     out + t);
  }
}

void load_values(const AttendArgs& a, size_t from, size_t n, const Scratch& s) {
  const std::byte* value = a.pages[from / KETTE_KV_PAGE] + a.value_at;
  for (size_t t = 0; t < n; ++t) {
    const size_t at = (from % KETTE_KV_PAGE + t) * a.value_stride;
    for (size_t d = 0; d < a.value_dim; d += 16) {
      const __mmask16 mask = first(a.value_dim - d);
      __m512 v;
      if (a.kv_type == KvType::kF32) {
        v = _mm512_maskz_loadu_ps(mask, reinterpret_cast<const float*>(value) + at + d);
      } else {
        const __m256i narrow = _mm256_maskz_loadu_epi16(mask, reinterpret_cast<const uint16_t*>(value) + at + d);
        v = a.kv_type == KvType::kF16 ? _mm512_cvtph_ps(narrow) : from_bf16(narrow);
      }
      _mm512_storeu_ps(s.value + t * s.value_stride + d, v);
    }
  }
}

// weight[r][t] = q[r] . key[t] for R rows and the block's 32 keys.
template <int R>
inline void scores(const float* q, size_t q_stride, const float* key, size_t key_dim, float* weight) {
  __m512 sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (size_t d = 0; d < key_dim; ++d) {
    const __m512 k0 = _mm512_load_ps(key + d * kBlock), k1 = _mm512_load_ps(key + d * kBlock + 16);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 x = _mm512_set1_ps(q[static_cast<size_t>(r) * q_stride + d]);
      sum[r][0] = _mm512_fmadd_ps(x, k0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(x, k1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    _mm512_store_ps(weight + r * kBlock, sum[r][0]);
    _mm512_store_ps(weight + r * kBlock + 16, sum[r][1]);
  }
}

// One row's scores, of which n count, into weights. Returns what its sums so far must be multiplied by.
inline float soften(float* weight, size_t n, float scale, float* largest, float* sum) {
  const __mmask16 mask0 = first(n), mask1 = first(n > 16 ? n - 16 : 0);
  const __m512 floor = _mm512_set1_ps(-__builtin_inff()), scales = _mm512_set1_ps(scale);
  const __m512 s0 = _mm512_mask_mul_ps(floor, mask0, _mm512_load_ps(weight), scales);
  const __m512 s1 = _mm512_mask_mul_ps(floor, mask1, _mm512_load_ps(weight + 16), scales);
  const float block = _mm512_reduce_max_ps(_mm512_max_ps(s0, s1));
  const float now = block > *largest ? block : *largest;
  const __m512 base = _mm512_set1_ps(now);
  const __m512 e0 = _mm512_maskz_mov_ps(mask0, exponential(_mm512_sub_ps(s0, base)));
  const __m512 e1 = _mm512_maskz_mov_ps(mask1, exponential(_mm512_sub_ps(s1, base)));
  const float shrink = _mm512_cvtss_f32(exponential(_mm512_set1_ps(*largest - now)));
  _mm512_store_ps(weight, e0);
  _mm512_store_ps(weight + 16, e1);
  *sum = __builtin_fmaf(*sum, shrink, _mm512_reduce_add_ps(_mm512_add_ps(e0, e1)));
  *largest = now;
  return shrink;
}

// out[r][0, 16 C) = out * shrink[r] + sum over t in [from, n) of weight[r][t] * value[t], added in order of t.
template <int R, int C>
inline void mix(const float* weight, const float* value, size_t value_stride, size_t from, size_t n,
                const float* shrink, float* out, size_t out_stride, __mmask16 last) {
  __m512 sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const float* p = out + static_cast<size_t>(r) * out_stride + 16 * c;
      sum[r][c] = _mm512_mul_ps(_mm512_maskz_loadu_ps(c == C - 1 ? last : first(16), p), _mm512_set1_ps(shrink[r]));
    }
  }
  for (size_t t = from; t < n; ++t) {
    __m512 v[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) v[c] = _mm512_loadu_ps(value + t * value_stride + static_cast<size_t>(16 * c));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 w = _mm512_set1_ps(weight[static_cast<size_t>(r) * kBlock + t]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sum[r][c] = _mm512_fmadd_ps(w, v[c], sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
      _mm512_mask_storeu_ps(out + static_cast<size_t>(r) * out_stride + 16 * c, c == C - 1 ? last : first(16),
                            sum[r][c]);
  }
}

template <int R>
inline void mix_rows(const float* weight, const Scratch& s, size_t value_dim, size_t from, size_t n,
                     const float* shrink, float* out, size_t out_stride) {
  size_t d = 0;
  for (; d + 32 <= value_dim; d += 32)
    mix<R, 2>(weight, s.value + d, s.value_stride, from, n, shrink, out + d, out_stride, first(16));
  for (; d < value_dim; d += 16)
    mix<R, 1>(weight, s.value + d, s.value_stride, from, n, shrink, out + d, out_stride, first(value_dim - d));
}

// R rows from `row` on over the block at position `from`.
template <int R>
void tile(const AttendArgs& a, const Scratch& s, size_t row, size_t from) {
  float* weight = s.weight + row * kBlock;
  float* out = a.out + row * a.out_stride;
  scores<R>(a.q + row * a.q_stride, a.q_stride, s.key, a.key_dim, weight);
  float shrink[R];
  size_t n[R], common = kBlock;
  for (size_t r = 0; r < R; ++r) {
    const size_t visible = a.visible[row + r];
    n[r] = visible <= from ? 0 : visible - from < kBlock ? visible - from : kBlock;
    shrink[r] = n[r] == 0 ? 1.0f : soften(weight + r * kBlock, n[r], a.scale, s.largest + row + r, s.sum + row + r);
    common = n[r] < common ? n[r] : common;
  }
  mix_rows<R>(weight, s, a.value_dim, 0, common, shrink, out, a.out_stride);
  // What some rows see beyond that: an unseen value must not count even as 0 * infinity.
  const float keep = 1.0f;
  for (size_t r = 0; r < R; ++r)
    if (n[r] > common)
      mix_rows<1>(weight + r * kBlock, s, a.value_dim, common, n[r], &keep, out + r * a.out_stride, a.out_stride);
}

using Tile = void (*)(const AttendArgs&, const Scratch&, size_t, size_t);
const Tile kTiles[kTile] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>, tile<7>, tile<8>};

}  // namespace

void attend(const AttendArgs& a) {
  const Scratch s = divide(a);
  size_t positions = 0;
  for (size_t row = 0; row < a.rows; ++row) {
    positions = a.visible[row] > positions ? a.visible[row] : positions;
    s.largest[row] = -__builtin_inff();
    s.sum[row] = 0;
    memset(a.out + row * a.out_stride, 0, a.value_dim * sizeof(float));
  }
  for (size_t from = 0; from < positions; from += kBlock) {
    const size_t n = positions - from < kBlock ? positions - from : kBlock;
    load_keys(a, from, n, s.key);
    load_values(a, from, n, s);
    for (size_t row = 0; row < a.rows; row += kTile)
      kTiles[(a.rows - row < kTile ? a.rows - row : kTile) - 1](a, s, row, from);
  }
  for (size_t row = 0; row < a.rows; ++row) {
    if (a.largest != nullptr) {
      a.largest[row] = s.largest[row];
      a.sum[row] = s.sum[row];
      continue;
    }
    float* out = a.out + row * a.out_stride;
    const __m512 factor = _mm512_set1_ps(1.0f / s.sum[row]);
    for (size_t d = 0; d < a.value_dim; d += 16) {
      const __mmask16 mask = first(a.value_dim - d);
      _mm512_mask_storeu_ps(out + d, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, out + d), factor));
    }
  }
}

}  // namespace kette::kernels::avx512
