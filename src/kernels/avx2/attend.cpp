// Attention over blocks of 32 positions: keys are transposed and values widened once per block for all rows, then
// tiles of up to 6 rows go through scores, online softmax and the weighted sum of values.
#include "kernels/avx2/floats.h"
#include "kernels/avx2/transpose.h"
#include "kernels/avx2/vector.h"

namespace kette::kernels::avx2 {
namespace {

enum : size_t { kBlock = KETTE_ATTEND_BLOCK, kTile = 6 };

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
  s.value_stride = (a.value_dim + 7) / 8 * 8;
  s.key = a.scratch;
  s.value = s.key + kBlock * a.key_dim;
  s.weight = s.value + kBlock * s.value_stride;
  s.largest = s.weight + a.rows * kBlock;
  s.sum = s.largest + a.rows;
  return s;
}

__m256i load_dwords(const void* p, size_t n) {
  return n >= 8 ? _mm256_loadu_si256(static_cast<const __m256i*>(p))
                : _mm256_maskload_epi32(static_cast<const int*>(p), first(n));
}

// Eight keys' dims become rows of 8 keys. Keys from `n` on are zero and not read.
void transpose_f32(const float* key, size_t stride, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 8) {
    const size_t dims = key_dim - d < 8 ? key_dim - d : 8;
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t t = 0; t < 8; ++t) v[t] = t < n ? load_dwords(key + t * stride + d, dims) : _mm256_setzero_si256();
    transpose(v);
    for (size_t i = 0; i < dims; ++i) _mm256_store_ps(out + (d + i) * kBlock, _mm256_castsi256_ps(v[i]));
  }
}

// As above from 16-bit numbers, transposed in pairs.
void transpose_16bit(const uint16_t* key, size_t stride, KvType type, size_t key_dim, size_t n, float* out) {
  for (size_t d = 0; d < key_dim; d += 16) {
    const size_t pairs = key_dim - d < 16 ? (key_dim - d) / 2 : 8;
    __m256i v[8];
#pragma GCC unroll 8
    for (size_t t = 0; t < 8; ++t) v[t] = t < n ? load_dwords(key + t * stride + d, pairs) : _mm256_setzero_si256();
    transpose(v);
    for (size_t i = 0; i < pairs; ++i) {
      __m256 even, odd;
      if (type == KvType::kBf16) {
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

// The block at position `from`, of which n positions count: it lies within one page.
void load_keys(const AttendArgs& a, size_t from, size_t n, float* out) {
  const std::byte* key = a.pages[from / KETTE_KV_PAGE] + a.key_at;
  for (size_t t = 0; t < kBlock; t += 8) {
    const size_t valid = n > t ? n - t : 0, at = (from % KETTE_KV_PAGE + t) * a.key_stride;
    if (a.kv_type == KvType::kF32)
      transpose_f32(reinterpret_cast<const float*>(key) + at, a.key_stride, a.key_dim, valid, out + t);
    else
      transpose_16bit(reinterpret_cast<const uint16_t*>(key) + at, a.key_stride, a.kv_type, a.key_dim, valid, out + t);
  }
}

// The first n (up to 8) 16-bit numbers, n even.
__m128i load_narrow(const uint16_t* p, size_t n) {
  if (n >= 8) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm_maskload_epi32(reinterpret_cast<const int*>(p), _mm256_castsi256_si128(first(n / 2)));
}

void load_values(const AttendArgs& a, size_t from, size_t n, const Scratch& s) {
  const std::byte* value = a.pages[from / KETTE_KV_PAGE] + a.value_at;
  for (size_t t = 0; t < n; ++t) {
    const size_t at = (from % KETTE_KV_PAGE + t) * a.value_stride;
    for (size_t d = 0; d < a.value_dim; d += 8) {
      const size_t dims = a.value_dim - d;
      __m256 v;
      if (a.kv_type == KvType::kF32) {
        v = load_first(reinterpret_cast<const float*>(value) + at + d, dims);
      } else {
        const __m128i narrow = load_narrow(reinterpret_cast<const uint16_t*>(value) + at + d, dims);
        v = a.kv_type == KvType::kF16 ? _mm256_cvtph_ps(narrow) : from_bf16(narrow);
      }
      _mm256_storeu_ps(s.value + t * s.value_stride + d, v);
    }
  }
}

// weight[r][t] = q[r] . key[t] for R rows and 16 of the block's keys.
template <int R>
inline void scores(const float* q, size_t q_stride, const float* key, size_t key_dim, float* weight) {
  __m256 sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
  for (size_t d = 0; d < key_dim; ++d) {
    const __m256 k0 = _mm256_load_ps(key + d * kBlock), k1 = _mm256_load_ps(key + d * kBlock + 8);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256 x = _mm256_broadcast_ss(q + static_cast<size_t>(r) * q_stride + d);
      sum[r][0] = _mm256_fmadd_ps(x, k0, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(x, k1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    _mm256_store_ps(weight + r * kBlock, sum[r][0]);
    _mm256_store_ps(weight + r * kBlock + 8, sum[r][1]);
  }
}

// One row's scores, of which n count, into weights. Returns what its sums so far must be multiplied by.
inline float soften(float* weight, size_t n, float scale, float* largest, float* sum) {
  const __m256 floor = _mm256_set1_ps(-__builtin_inff()), scales = _mm256_set1_ps(scale);
  __m256 s[4], mask[4], most = floor;
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    mask[i] = _mm256_castsi256_ps(first(n > 8 * i ? n - 8 * i : 0));
    s[i] = _mm256_blendv_ps(floor, _mm256_mul_ps(_mm256_load_ps(weight + 8 * i), scales), mask[i]);
    most = _mm256_max_ps(most, s[i]);
  }
  const float block = largest_of(most);
  const float now = block > *largest ? block : *largest;
  const __m256 base = _mm256_set1_ps(now);
  __m256 part = _mm256_setzero_ps();
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const __m256 e = _mm256_and_ps(exponential(_mm256_sub_ps(s[i], base)), mask[i]);
    _mm256_store_ps(weight + 8 * i, e);
    part = _mm256_add_ps(part, e);
  }
  const float shrink = _mm256_cvtss_f32(exponential(_mm256_set1_ps(*largest - now)));
  *sum = __builtin_fmaf(*sum, shrink, total(part));
  *largest = now;
  return shrink;
}

// out[r][0, 8 C) = out * shrink[r] + sum over t in [from, n) of weight[r][t] * value[t], added in order of t. The last
// eight of out are only `last`.
template <int R, int C>
inline void mix(const float* weight, const float* value, size_t value_stride, size_t from, size_t n,
                const float* shrink, float* out, size_t out_stride, size_t last) {
  __m256 sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
      const float* p = out + static_cast<size_t>(r) * out_stride + 8 * c;
      sum[r][c] = _mm256_mul_ps(load_first(p, c == C - 1 ? last : 8), _mm256_broadcast_ss(shrink + r));
    }
  }
  for (size_t t = from; t < n; ++t) {
    __m256 v[C];
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) v[c] = _mm256_loadu_ps(value + t * value_stride + static_cast<size_t>(8 * c));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256 w = _mm256_broadcast_ss(weight + static_cast<size_t>(r) * kBlock + t);
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) sum[r][c] = _mm256_fmadd_ps(w, v[c], sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c)
      store_first(out + static_cast<size_t>(r) * out_stride + 8 * c, c == C - 1 ? last : 8, sum[r][c]);
  }
}

template <int R>
inline void mix_rows(const float* weight, const Scratch& s, size_t value_dim, size_t from, size_t n,
                     const float* shrink, float* out, size_t out_stride) {
  size_t d = 0;
  for (; d + 16 <= value_dim; d += 16)
    mix<R, 2>(weight, s.value + d, s.value_stride, from, n, shrink, out + d, out_stride, 8);
  for (; d < value_dim; d += 8)
    mix<R, 1>(weight, s.value + d, s.value_stride, from, n, shrink, out + d, out_stride, value_dim - d);
}

// R rows from `row` on over the block at position `from`.
template <int R>
void tile(const AttendArgs& a, const Scratch& s, size_t row, size_t from) {
  float* weight = s.weight + row * kBlock;
  float* out = a.out + row * a.out_stride;
  const float* q = a.q + row * a.q_stride;
  scores<R>(q, a.q_stride, s.key, a.key_dim, weight);
  scores<R>(q, a.q_stride, s.key + 16, a.key_dim, weight + 16);
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
const Tile kTiles[kTile] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

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
    const __m256 factor = _mm256_set1_ps(1.0f / s.sum[row]);
    for (size_t d = 0; d < a.value_dim; d += 8)
      store_first(out + d, a.value_dim - d, _mm256_mul_ps(load_first(out + d, a.value_dim - d), factor));
  }
}

}  // namespace kette::kernels::avx2
