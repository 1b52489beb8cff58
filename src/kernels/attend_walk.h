// How attention walks over the cache, the same in every instruction set. Once per block of 32 positions, for all rows,
// keys are transposed and values widened, or brought into another form that an instruction set likes better; where one
// tile has all rows, values are widened as they are used, and for very few rows keys are transposed so too, which adds
// the same numbers in the same order. Tiles of a few rows then go through scores, online softmax and the weighted sum of
// values. Internal linkage only: each file that includes this is compiled for instructions of its own.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace kette::kernels {
namespace {

enum : size_t { kBlock = KETTE_ATTEND_BLOCK };

// An Isa says how:
//   kTile, kLanes, kFew   rows of a tile, at most 8; floats of a vector; rows up to which CachedKeys pay, 0 without any
//   kStep                 positions that mix takes at once; where it begins is a multiple of it
//   kReadsCache           has CachedValues, for calls of one tile
//   kTogether             rows whose scores are taken at once, before those of any tile; 0: each tile takes its own
//   load_keys(a, from, n, ahead, out)   the first n keys of the block at position `from` -> out, in floats as many as
//       [key_dim][kBlock]
//   load_values(a, from, n, ahead, out, stride)   its first n values -> out, in floats as many as [n][stride]
//   Keys{p}, CachedKeys<kType>{{p, stride, n, ahead}}   where scores takes keys from: what load_keys wrote, or the
//       cache's rows, if all kBlock of them count and key_dim is a multiple of CachedKeys::kWidth
//   values(a, s), CachedValues<kType>{p, stride, ahead}   where mix takes values from: what load_values wrote, or the
//       cache's rows
//   scores<R>(q, q_stride, keys, key_dim, weight)   weight[r][t] = q[r] . key[t], added in order of dimensions, of R
//       rows and all keys of the block; where kTogether is not 0, scores(q, keys, key_dim, weight) of so many rows
//   soften<R>(weight, n, scale, largest, sum, shrink)   R rows' scores, of which n[r] count, into weights; shrink[r] is
//       what its sums so far must be multiplied by
//   mix<R, C>(weight, values, d, from, n, shrink, out, out_stride, last)   of R rows' C vectors from column d on, of
//       the last of which `last` numbers are there: out[r] = out[r] * shrink[r] + sum over t in [from, n) of
//       weight[r][t] * value[t], added in order of t
//   multiply(out, n, factor)
// Whoever reads the cache's rows asks for what lies `ahead` of them.

// f(OfType<..>{}) for the types that kernels have readers of their own for; false for others, which only decoders read.
template <KvType kType>
struct OfType {};
template <class F>
inline bool by_type(KvType type, const F& f) {
  switch (type) {
    case KvType::kF32: f(OfType<KvType::kF32>{}); return true;
    case KvType::kF16: f(OfType<KvType::kF16>{}); return true;
    case KvType::kBf16: f(OfType<KvType::kBf16>{}); return true;
    case KvType::kQ8_0: f(OfType<KvType::kQ8_0>{}); return true;
    default: return false;
  }
}

// A row's first `dim` numbers of any type, `step` apart.
inline void decode_row(const AttendArgs& a, const std::byte* row, size_t dim, float* out, size_t step) {
  const size_t most = KETTE_KV_BLOCK / a.block_size * a.block_size;
  float numbers[KETTE_KV_BLOCK];
  for (size_t d = 0; d < dim; d += most) {
    const size_t n = dim - d < most ? dim - d : most;
    a.decode(row + d / a.block_size * a.block_bytes, numbers, (n + a.block_size - 1) / a.block_size * a.block_size);
    for (size_t i = 0; i < n; ++i) out[(d + i) * step] = numbers[i];
  }
}

// Where the rows of a block begin. It lies within one page.
inline const std::byte* key_rows(const AttendArgs& a, size_t from) {
  return a.pages[from / KETTE_KV_PAGE] + a.key_at + from % KETTE_KV_PAGE * a.key_stride;
}
inline const std::byte* value_rows(const AttendArgs& a, size_t from) {
  return a.pages[from / KETTE_KV_PAGE] + a.value_at + from % KETTE_KV_PAGE * a.value_stride;
}

// How many bytes behind a block's rows those of the next one lie, 0 where there is none. A page's rows are few, and the
// processor cannot guess where the next page's are.
struct Ahead {
  ptrdiff_t keys = 0, values = 0;
};

// Into the second level of cache: the first one keeps less under way. Always inlined: GCC leaves out the call of a
// function that does nothing else.
inline __attribute__((always_inline)) void ask_for(const std::byte* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}

// Where a block's parts lie in AttendArgs::scratch.
struct Scratch {
  float* key;    // [key_dim][kBlock], or what load_keys makes of it
  float* value;  // [kBlock][value_stride], or what load_values does
  size_t value_stride;
  float* weight;   // [rows][kBlock]
  float* largest;  // [rows]
  float* sum;      // [rows]
};

// Whole vectors of a value, and 16 more: at a power of two, columns of values would share few sets of L1.
inline Scratch divide(const AttendArgs& a, size_t lanes) {
  Scratch s;
  s.value_stride = (a.value_dim + lanes - 1) / lanes * lanes + 16;
  s.key = a.scratch;
  s.value = s.key + kBlock * a.key_dim;
  s.weight = s.value + kBlock * s.value_stride;
  s.largest = s.weight + a.rows * kBlock;
  s.sum = s.largest + a.rows;
  return s;
}

// How many of the block's positions a row sees.
inline size_t seen(const AttendArgs& a, size_t row, size_t from) {
  const size_t visible = a.visible[row];
  return visible <= from ? 0 : visible - from < kBlock ? visible - from : kBlock;
}

// All columns of R rows. With few rows it takes more columns at once until additions do not wait for each other.
template <class Isa, int R, class Values>
void mix_rows(const float* weight, const Values& values, size_t value_dim, size_t from, size_t n, const float* shrink,
              float* out, size_t out_stride) {
  constexpr size_t kLanes = Isa::kLanes;
  size_t d = 0;
  if constexpr (R <= 2)
    for (; d + 4 * kLanes <= value_dim; d += 4 * kLanes)
      Isa::template mix<R, 4>(weight, values, d, from, n, shrink, out, out_stride, kLanes);
  for (; d + 2 * kLanes <= value_dim; d += 2 * kLanes)
    Isa::template mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, kLanes);
  if (const size_t dims = value_dim - d; dims > kLanes)
    Isa::template mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, dims - kLanes);
  else if (dims > 0)
    Isa::template mix<R, 1>(weight, values, d, from, n, shrink, out, out_stride, dims);
}

// A tile's rows over the block at position `from`.
template <class Isa, class Keys, class Values>
struct Tile {
  const AttendArgs& a;
  const Scratch& s;
  const Keys& keys;
  const Values& values;
  size_t from;

  template <int R>
  void run(size_t row) const {
    float* weight = s.weight + row * kBlock;
    if constexpr (Isa::kTogether == 0)
      Isa::template scores<R>(a.q + row * a.q_stride, a.q_stride, keys, a.key_dim, weight);
    float shrink[R];
    size_t n[R], common = kBlock;
    for (size_t r = 0; r < R; ++r) {
      n[r] = seen(a, row + r, from);
      common = n[r] < common ? n[r] : common;
    }
    Isa::template soften<R>(weight, n, a.scale, s.largest + row, s.sum + row, shrink);
    common -= common % Isa::kStep;
    float* out = a.out + row * a.out_stride;
    mix_rows<Isa, R>(weight, values, a.value_dim, 0, common, shrink, out, a.out_stride);
    // What some rows see beyond that: an unseen value must not count even as 0 * infinity.
    const float keep = 1.0f;
    for (size_t r = 0; r < R; ++r)
      if (n[r] > common)
        mix_rows<Isa, 1>(weight + r * kBlock, values, a.value_dim, common, n[r], &keep, out + r * a.out_stride,
                         a.out_stride);
  }
  // R is at most this.
  template <int R>
  void run(size_t row, size_t rows) const {
    if constexpr (R > 1)
      if (rows < R) return run<R - 1>(row, rows);
    run<R>(row);
  }
};

// All rows, in tiles of nearly the same size, of at most kMost.
template <class Isa, int kMost, class Keys, class Values>
void attend_tiles(const AttendArgs& a, const Scratch& s, const Keys& keys, const Values& values, size_t from) {
  if constexpr (Isa::kTogether > 0)
    for (size_t row = 0; row < a.rows; row += Isa::kTogether)
      Isa::scores(a.q + row * a.q_stride, keys, a.key_dim, s.weight + row * kBlock);
  const Tile<Isa, Keys, Values> tile{a, s, keys, values, from};
  for (size_t row = 0, left = (a.rows + kMost - 1) / kMost; left > 0; --left) {
    const size_t rows = (a.rows - row + left - 1) / left;
    tile.template run<kMost>(row, rows);
    row += rows;
  }
}

// The rows of one tile.
template <class Isa, KvType kType>
void attend_cached(const AttendArgs& a, const Scratch& s, size_t from, size_t n, Ahead ahead) {
  const typename Isa::template CachedValues<kType> values{value_rows(a, from), a.value_stride, ahead.values};
  if constexpr (Isa::kFew > 0) {
    using CachedKeys = typename Isa::template CachedKeys<kType>;
    if (a.rows <= Isa::kFew && n == kBlock && a.key_dim % CachedKeys::kWidth == 0)
      return attend_tiles<Isa, Isa::kFew>(a, s, CachedKeys{{key_rows(a, from), a.key_stride, n, ahead.keys}}, values,
                                          from);
  }
  Isa::load_keys(a, from, n, ahead.keys, s.key);
  attend_tiles<Isa, Isa::kTile>(a, s, typename Isa::Keys{s.key}, values, from);
}

// The block at position `from`, of which n positions count; `more` if another one is read behind it.
template <class Isa>
void attend_block(const AttendArgs& a, const Scratch& s, size_t from, size_t n, bool more) {
  Ahead ahead;
  if (more) {
    ahead.keys = key_rows(a, from + kBlock) - key_rows(a, from);
    ahead.values = value_rows(a, from + kBlock) - value_rows(a, from);
  }
  if constexpr (Isa::kReadsCache) {
    const auto attend = [&]<KvType kType>(OfType<kType>) { attend_cached<Isa, kType>(a, s, from, n, ahead); };
    if (a.rows <= Isa::kTile && by_type(a.kv_type, attend)) return;
  }
  Isa::load_keys(a, from, n, ahead.keys, s.key);
  Isa::load_values(a, from, n, ahead.values, s.value, s.value_stride);
  attend_tiles<Isa, Isa::kTile>(a, s, typename Isa::Keys{s.key}, Isa::values(a, s), from);
}

template <class Isa>
void attend_by(const AttendArgs& a) {
  const Scratch s = divide(a, Isa::kLanes);
  size_t positions = 0;
  for (size_t row = 0; row < a.rows; ++row) {
    positions = a.visible[row] > positions ? a.visible[row] : positions;
    s.largest[row] = -__builtin_inff();
    s.sum[row] = 0;
    memset(a.out + row * a.out_stride, 0, a.value_dim * sizeof(float));
  }
  for (size_t from = 0; from < positions; from += kBlock) {
    const size_t left = positions - from;
    attend_block<Isa>(a, s, from, left < kBlock ? left : size_t{kBlock}, left > kBlock || (left == kBlock && a.more));
  }
  for (size_t row = 0; row < a.rows; ++row) {
    if (a.largest == nullptr) {
      Isa::multiply(a.out + row * a.out_stride, a.value_dim, 1.0f / s.sum[row]);
    } else {
      a.largest[row] = s.largest[row];
      a.sum[row] = s.sum[row];
    }
  }
}

}  // namespace
}  // namespace kette::kernels
