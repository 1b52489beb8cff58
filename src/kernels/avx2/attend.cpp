// Attention over blocks of 32 positions. Keys are transposed once per block for all rows; values are widened once too or,
// where one tile has all rows, as they are used. Tiles of up to 6 rows then go through scores, online softmax and the
// weighted sum of values.
#include "kernels/avx2/kv_block.h"
#include "kernels/avx2/vector.h"

namespace kette::kernels::avx2 {
namespace {

enum : size_t { kTile = 6 };

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
  s.value_stride = (a.value_dim + 7) / 8 * 8 + 16;  // at a power of two, columns of values would share few sets of L1
  s.key = a.scratch;
  s.value = s.key + kBlock * a.key_dim;
  s.weight = s.value + kBlock * s.value_stride;
  s.largest = s.weight + a.rows * kBlock;
  s.sum = s.largest + a.rows;
  return s;
}

// Where `mix` takes values [t][d], d a multiple of 16, from: C vectors, of the last of which `n` numbers are there.
struct Widened {
  const float* value;
  size_t stride;
  template <int C>
  void load(size_t t, size_t d, size_t, __m256 v[C]) const {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) v[c] = _mm256_loadu_ps(value + t * stride + d + static_cast<size_t>(8 * c));
  }
};
template <KvType kType>
struct Cached {
  const std::byte* value;
  size_t stride;
  template <int C>
  void load(size_t t, size_t d, size_t n, __m256 v[C]) const {
    load_eights<kType, C>(value + t * stride, d, n, v);
  }
};

// What the next block will need: asked for little by little, for the processor waits when too much is under way.
struct Ahead {
  const std::byte* from = nullptr;
  size_t bytes = 0;
};

// weight[r][t] = q[r] . key[t] for R rows and 16 of the block's keys.
template <int R>
inline void scores(const float* q, size_t q_stride, const float* key, size_t key_dim, Ahead next, float* weight) {
  const size_t step = (next.bytes + key_dim - 1) / key_dim;
  __m256 sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
  for (size_t d = 0; d < key_dim; ++d) {
    prefetch(next.from + d * step, step);
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
  // Most blocks have no new maximum, and e^0 is 1 to the bit.
  const float shrink = now == *largest ? 1.0f : _mm256_cvtss_f32(exponential(_mm256_set1_ps(*largest - now)));
  *sum = __builtin_fmaf(*sum, shrink, total(part));
  *largest = now;
  return shrink;
}

// out[r][d, d + 8 C) = out * shrink[r] + sum over t in [from, n) of weight[r][t] * value[t], added in order of t. The
// last eight of them are only `last`.
template <int R, int C, class Values>
inline void mix(const float* weight, const Values& values, size_t d, size_t from, size_t n, const float* shrink,
                float* out, size_t out_stride, size_t last) {
  __m256 sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
      const float* p = out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(8 * c);
      sum[r][c] = _mm256_mul_ps(load_first(p, c == C - 1 ? last : 8), _mm256_broadcast_ss(shrink + r));
    }
  }
  for (size_t t = from; t < n; ++t) {
    __m256 v[C];
    values.template load<C>(t, d, last, v);
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
      store_first(out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(8 * c), c == C - 1 ? last : 8,
                  sum[r][c]);
  }
}

template <int R, class Values>
inline void mix_rows(const float* weight, const Values& values, size_t value_dim, size_t from, size_t n,
                     const float* shrink, float* out, size_t out_stride) {
  size_t d = 0;
  for (; d + 16 <= value_dim; d += 16) mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, 8);
  if (const size_t dims = value_dim - d; dims > 8)
    mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, dims - 8);
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
      default: f.template run<6>(row); break;
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
  Ahead next_keys, next_values;
  template <int R>
  void run(size_t row) const {
    float* weight = s.weight + row * kBlock;
    const float* q = a.q + row * a.q_stride;
    scores<R>(q, a.q_stride, s.key, a.key_dim, row == 0 ? next_keys : Ahead{}, weight);
    scores<R>(q, a.q_stride, s.key + 16, a.key_dim, row == 0 ? next_values : Ahead{}, weight + 16);
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
void attend_tiles(const AttendArgs& a, const Scratch& s, const Values& values, size_t from, Ahead next_keys,
                  Ahead next_values) {
  each_tile(a.rows, Tile<Values>{a, s, values, from, next_keys, next_values});
}

// The block at position `from`, of which n positions count; `next` positions come behind it.
void attend_block(const AttendArgs& a, const Scratch& s, size_t from, size_t n, size_t next) {
  Ahead keys, values;
  if (next > 0) {
    keys = {key_rows(a, from + kBlock), next * a.key_stride};
    if (a.value_at != a.key_at) values = {value_rows(a, from + kBlock), next * a.value_stride};
  }
  load_keys(a, from, n, s.key);
  if (a.rows <= kTile) {
    const std::byte* value = value_rows(a, from);
    switch (a.kv_type) {
      case KvType::kF32: return attend_tiles(a, s, Cached<KvType::kF32>{value, a.value_stride}, from, keys, values);
      case KvType::kF16: return attend_tiles(a, s, Cached<KvType::kF16>{value, a.value_stride}, from, keys, values);
      case KvType::kBf16: return attend_tiles(a, s, Cached<KvType::kBf16>{value, a.value_stride}, from, keys, values);
      case KvType::kQ8_0: return attend_tiles(a, s, Cached<KvType::kQ8_0>{value, a.value_stride}, from, keys, values);
    }
  }
  load_values(a, from, n, s.value, s.value_stride);
  attend_tiles(a, s, Widened{s.value, s.value_stride}, from, keys, values);
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
    const __m256 factor = _mm256_set1_ps(1.0f / s.sum[row]);
    for (size_t d = 0; d < a.value_dim; d += 8)
      store_first(out + d, a.value_dim - d, _mm256_mul_ps(load_first(out + d, a.value_dim - d), factor));
  }
}

}  // namespace kette::kernels::avx2
