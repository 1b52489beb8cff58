// Attention over blocks of 32 positions. Keys are transposed once per block for all rows; values are widened once too or,
// where one tile has all rows, as they are used. Tiles of up to 8 rows then go through scores, online softmax and the
// weighted sum of values.
#include "kernels/avx512/kv_block.h"
#include "kernels/avx512/vector.h"

namespace kette::kernels::avx512 {
namespace {

enum : size_t { kTile = 8 };

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
  s.value_stride =
      (a.value_dim + 15) / 16 * 16 + 16;  // at a power of two, columns of values would share few sets of L1
  s.key = a.scratch;
  s.value = s.key + kBlock * a.key_dim;
  s.weight = s.value + kBlock * s.value_stride;
  s.largest = s.weight + a.rows * kBlock;
  s.sum = s.largest + a.rows;
  return s;
}

// Where `mix` takes values [t][d], d a multiple of 32, from: C vectors, of the last of which `n` numbers are there.
struct Widened {
  const float* value;
  size_t stride;
  template <int C>
  void load(size_t t, size_t d, size_t, __m512 v[C]) const {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) v[c] = _mm512_loadu_ps(value + t * stride + d + static_cast<size_t>(16 * c));
  }
};
template <KvType kType>
struct Cached {
  const std::byte* value;
  size_t stride;
  template <int C>
  void load(size_t t, size_t d, size_t n, __m512 v[C]) const {
    load_sixteens<kType, C>(value + t * stride, d, n, v);
  }
};

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
  // Most blocks have no new maximum, and e^0 is 1 to the bit.
  const float shrink = now == *largest ? 1.0f : _mm512_cvtss_f32(exponential(_mm512_set1_ps(*largest - now)));
  _mm512_store_ps(weight, e0);
  _mm512_store_ps(weight + 16, e1);
  *sum = __builtin_fmaf(*sum, shrink, _mm512_reduce_add_ps(_mm512_add_ps(e0, e1)));
  *largest = now;
  return shrink;
}

// out[r][d, d + 16 C) = out * shrink[r] + sum over t in [from, n) of weight[r][t] * value[t], added in order of t. The
// last sixteen of them are only `last`.
template <int R, int C, class Values>
inline void mix(const float* weight, const Values& values, size_t d, size_t from, size_t n, const float* shrink,
                float* out, size_t out_stride, size_t last) {
  const __mmask16 tail = first(last);
  __m512 sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
      const float* p = out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(16 * c);
      sum[r][c] = _mm512_mul_ps(_mm512_maskz_loadu_ps(c == C - 1 ? tail : first(16), p), _mm512_set1_ps(shrink[r]));
    }
  }
  for (size_t t = from; t < n; ++t) {
    __m512 v[C];
    values.template load<C>(t, d, last, v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 w = _mm512_set1_ps(weight[static_cast<size_t>(r) * kBlock + t]);
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) sum[r][c] = _mm512_fmadd_ps(w, v[c], sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c)
      _mm512_mask_storeu_ps(out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(16 * c),
                            c == C - 1 ? tail : first(16), sum[r][c]);
  }
}

template <int R, class Values>
inline void mix_rows(const float* weight, const Values& values, size_t value_dim, size_t from, size_t n,
                     const float* shrink, float* out, size_t out_stride) {
  size_t d = 0;
  for (; d + 32 <= value_dim; d += 32) mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, 16);
  if (const size_t dims = value_dim - d; dims > 16)
    mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, dims - 16);
  else if (dims > 0)
    mix<R, 1>(weight, values, d, from, n, shrink, out, out_stride, dims);
}

// How many of the block's positions a row sees.
size_t seen(const AttendArgs& a, size_t row, size_t from) {
  const size_t visible = a.visible[row];
  return visible <= from ? 0 : visible - from < kBlock ? visible - from : kBlock;
}

// Calls f.template run<R>(row) for all rows in tiles of nearly the same size R.
template <class F>
void each_tile(size_t rows, const F& f) {
  for (size_t row = 0, left = (rows + kTile - 1) / kTile; left > 0; --left) {
    const size_t n = (rows - row + left - 1) / left;
    switch (n) {
      case 1: f.template run<1>(row); break;
      case 2: f.template run<2>(row); break;
      case 3: f.template run<3>(row); break;
      case 4: f.template run<4>(row); break;
      case 5: f.template run<5>(row); break;
      case 6: f.template run<6>(row); break;
      case 7: f.template run<7>(row); break;
      default: f.template run<8>(row); break;
    }
    row += n;
  }
}

// A tile's rows over the block at position `from`.
template <class Values>
struct Tile {
  const AttendArgs& a;
  const Scratch& s;
  const Values& values;
  size_t from;
  template <int R>
  void run(size_t row) const {
    float* weight = s.weight + row * kBlock;
    const float* q = a.q + row * a.q_stride;
    scores<R>(q, a.q_stride, s.key, a.key_dim, weight);
    float shrink[R];
    size_t n[R], common = kBlock;
    for (size_t r = 0; r < R; ++r) {
      n[r] = seen(a, row + r, from);
      shrink[r] = n[r] == 0 ? 1.0f : soften(weight + r * kBlock, n[r], a.scale, s.largest + row + r, s.sum + row + r);
      common = n[r] < common ? n[r] : common;
    }
    float* out = a.out + row * a.out_stride;
    mix_rows<R>(weight, values, a.value_dim, 0, common, shrink, out, a.out_stride);
    // What some rows see beyond that: an unseen value must not count even as 0 * infinity.
    const float keep = 1.0f;
    for (size_t r = 0; r < R; ++r)
      if (n[r] > common)
        mix_rows<1>(weight + r * kBlock, values, a.value_dim, common, n[r], &keep, out + r * a.out_stride,
                    a.out_stride);
  }
};

template <class Values>
void attend_tiles(const AttendArgs& a, const Scratch& s, const Values& values, size_t from) {
  each_tile(a.rows, Tile<Values>{a, s, values, from});
}

// The block at position `from`, of which n positions count, and asks for the `next` positions behind it.
void attend_block(const AttendArgs& a, const Scratch& s, size_t from, size_t n, size_t next) {
  if (next > 0) {
    prefetch(key_rows(a, from + kBlock), next * a.key_stride);
    if (a.value_at != a.key_at) prefetch(value_rows(a, from + kBlock), next * a.value_stride);
  }
  load_keys(a, from, n, s.key);
  if (a.rows <= kTile) {
    const std::byte* value = value_rows(a, from);
    switch (a.kv_type) {
      case KvType::kF32: return attend_tiles(a, s, Cached<KvType::kF32>{value, a.value_stride}, from);
      case KvType::kF16: return attend_tiles(a, s, Cached<KvType::kF16>{value, a.value_stride}, from);
      case KvType::kBf16: return attend_tiles(a, s, Cached<KvType::kBf16>{value, a.value_stride}, from);
      case KvType::kQ8_0: return attend_tiles(a, s, Cached<KvType::kQ8_0>{value, a.value_stride}, from);
    }
  }
  load_values(a, from, n, s.value, s.value_stride);
  attend_tiles(a, s, Widened{s.value, s.value_stride}, from);
}

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
  const auto block = [&](size_t from) {
    return from >= positions ? 0 : positions - from < kBlock ? positions - from : size_t{kBlock};
  };
  for (size_t from = 0; from < positions; from += kBlock) attend_block(a, s, from, block(from), block(from + kBlock));
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
