// How attention walks over the cache, the same in every instruction set. Keys are transposed once per block of 32
// positions for all rows; values are widened once too or, where one tile has all rows, as they are used. Tiles of a few
// rows then go through scores, online softmax and the weighted sum of values. Internal linkage only: each file that
// includes this is compiled for instructions of its own.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace kette::kernels {
namespace {

enum : size_t { kBlock = KETTE_ATTEND_BLOCK };

// An Isa says how:
//   kTile, kLanes          rows of a tile, at most 8; floats of a vector
//   load_keys(a, from, n, out)            the first n keys of the block at position `from` -> out [key_dim][kBlock]
//   load_values(a, from, n, out, stride)  its first n values -> out [n][stride]
//   Cached<kType>{p, stride}, Widened{p, stride}   where mix takes values from: the cache's rows, or floats
//   scores<R>(q, q_stride, key, key_dim, next, weight)   weight[r][t] = q[r] . key[t], R rows, all keys of the block
//   soften(weight, n, scale, largest, sum)   one row's scores, of which n count, into weights; returns what its sums so
//                                            far must be multiplied by
//   mix<R, C>(weight, values, d, from, n, shrink, out, out_stride, last)   of R rows' C vectors from column d on, of the
//                          last of which `last` numbers are there: out[r] = out[r] * shrink[r] + sum over t in [from, n)
//                          of weight[r][t] * value[t], added in order of t
//   multiply(out, n, factor)

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

// What the next block needs. A page's rows are few, and where the next page's are the processor cannot guess. `scores`
// asks for it little by little, for the processor waits when too much is under way.
struct Ahead {
  const std::byte *keys = nullptr, *values = nullptr;
  size_t key_bytes = 0, value_bytes = 0;
};

// Asks for part i of n of so many bytes.
inline void ask_for_part(const std::byte* p, size_t bytes, size_t i, size_t n) {
  const size_t step = (bytes + n - 1) / n;
  for (size_t at = 0; at < step; at += 64) _mm_prefetch(reinterpret_cast<const char*>(p + i * step + at), _MM_HINT_T0);
}

// Where a block's parts lie in AttendArgs::scratch.
struct Scratch {
  float* key;    // [key_dim][kBlock]
  float* value;  // [kBlock][value_stride]
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

// All columns of R rows.
template <class Isa, int R, class Values>
void mix_rows(const float* weight, const Values& values, size_t value_dim, size_t from, size_t n, const float* shrink,
              float* out, size_t out_stride) {
  constexpr size_t kLanes = Isa::kLanes;
  size_t d = 0;
  for (; d + 2 * kLanes <= value_dim; d += 2 * kLanes)
    Isa::template mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, kLanes);
  if (const size_t dims = value_dim - d; dims > kLanes)
    Isa::template mix<R, 2>(weight, values, d, from, n, shrink, out, out_stride, dims - kLanes);
  else if (dims > 0)
    Isa::template mix<R, 1>(weight, values, d, from, n, shrink, out, out_stride, dims);
}

// A tile's rows over the block at position `from`.
template <class Isa, class Values>
struct Tile {
  const AttendArgs& a;
  const Scratch& s;
  const Values& values;
  size_t from;
  Ahead next;

  template <int R>
  void run(size_t row) const {
    float* weight = s.weight + row * kBlock;
    Isa::template scores<R>(a.q + row * a.q_stride, a.q_stride, s.key, a.key_dim, row == 0 ? next : Ahead{}, weight);
    float shrink[R];
    size_t n[R], common = kBlock;
    for (size_t r = 0; r < R; ++r) {
      n[r] = seen(a, row + r, from);
      shrink[r] =
          n[r] == 0 ? 1.0f : Isa::soften(weight + r * kBlock, n[r], a.scale, s.largest + row + r, s.sum + row + r);
      common = n[r] < common ? n[r] : common;
    }
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

// All rows, in tiles of nearly the same size.
template <class Isa, class Values>
void attend_tiles(const AttendArgs& a, const Scratch& s, const Values& values, size_t from, Ahead next) {
  const Tile<Isa, Values> tile{a, s, values, from, next};
  for (size_t row = 0, left = (a.rows + Isa::kTile - 1) / Isa::kTile; left > 0; --left) {
    const size_t rows = (a.rows - row + left - 1) / left;
    tile.template run<Isa::kTile>(row, rows);
    row += rows;
  }
}

template <class Isa, KvType kType>
void attend_cached(const AttendArgs& a, const Scratch& s, const std::byte* value, size_t from, Ahead next) {
  attend_tiles<Isa>(a, s, typename Isa::template Cached<kType>{value, a.value_stride}, from, next);
}

// The block at position `from`, of which n positions count; `after` positions come behind it.
template <class Isa>
void attend_block(const AttendArgs& a, const Scratch& s, size_t from, size_t n, size_t after) {
  Ahead next;
  if (after > 0) {
    next.keys = key_rows(a, from + kBlock);
    next.key_bytes = after * a.key_stride;
    if (a.value_at != a.key_at) {
      next.values = value_rows(a, from + kBlock);
      next.value_bytes = after * a.value_stride;
    }
  }
  Isa::load_keys(a, from, n, s.key);
  if (a.rows <= Isa::kTile) {
    const std::byte* value = value_rows(a, from);
    switch (a.kv_type) {
      case KvType::kF32: return attend_cached<Isa, KvType::kF32>(a, s, value, from, next);
      case KvType::kF16: return attend_cached<Isa, KvType::kF16>(a, s, value, from, next);
      case KvType::kBf16: return attend_cached<Isa, KvType::kBf16>(a, s, value, from, next);
      case KvType::kQ8_0: return attend_cached<Isa, KvType::kQ8_0>(a, s, value, from, next);
      default: break;  // a type that only its decoder reads
    }
  }
  Isa::load_values(a, from, n, s.value, s.value_stride);
  attend_tiles<Isa>(a, s, typename Isa::Widened{s.value, s.value_stride}, from, next);
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
  const auto block = [&](size_t from) {
    return from >= positions ? 0 : positions - from < kBlock ? positions - from : size_t{kBlock};
  };
  for (size_t from = 0; from < positions; from += kBlock)
    attend_block<Isa>(a, s, from, block(from), block(from + kBlock));
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
