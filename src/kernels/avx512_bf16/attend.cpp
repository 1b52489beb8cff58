// Attention in which queries, keys, weights and values are rounded to bfloat16, and pairs of them multiplied: of two
// dimensions for scores, of two positions for the weighted sum. Sums and softmax are float.
#include "kernels/avx512/kv_block.h"
#include "kernels/avx512/softmax.h"

namespace kette::kernels::avx512_bf16 {
namespace {

using namespace avx512;

// Numbers i of a and of b, rounded, side by side in dword i.
inline __m512i side_by_side(__m512 a, __m512 b) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

inline __m512 add_products(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// f(i, numbers i and i + 1 of 16 keys' pieces) for even i < n; n is even.
template <KvType kType, class F>
inline __attribute__((always_inline)) void each_pair(const __m512i v[4], __m512 scale, size_t n, const F& f) {
  if constexpr (kType == KvType::kF16 || kType == KvType::kBf16) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      if (2 * i >= n) break;
      if (kType == KvType::kBf16) {
        f(2 * i, v[i]);
      } else {
        const __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(v[i]));
        const __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v[i], 1));
        f(2 * i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
      }
    }
  } else {
    __m512 even = _mm512_setzero_ps();
    each_number<kType>(
        v, scale, n, [&](size_t i, __m512 number) __attribute__((always_inline)) {
          if (i % 2 == 0)
            even = number;
          else
            f(i - 1, side_by_side(even, number));
        });
  }
}

// -> out [key_dim / 2][kBlock]
template <KvType kType>
void key_pairs(const KeyRows& keys, size_t key_dim, float* out) {
  each_piece<kType>(
      keys,
      key_dim, [=](size_t t, size_t d, size_t n, const __m512i v[4], __m512 scale) __attribute__((always_inline)) {
        each_pair<kType>(
            v, scale, n, [=](size_t i, __m512i pair) __attribute__((always_inline)) {
              _mm512_store_si512(out + (d + i) / 2 * kBlock + t, pair);
            });
      });
}

// The first n values, each with the next one or with zeros -> out [(n + 1) / 2][out_stride]
template <KvType kType>
void value_pairs(const std::byte* value, size_t stride, size_t value_dim, size_t n, ptrdiff_t ahead, float* out,
                 size_t out_stride) {
  for (size_t t = 0; t < n; t += 2, value += 2 * stride, out += out_stride) {
    for (size_t d = 0; d < value_dim; d += 32) {
      const size_t left = value_dim - d;
      __m512 v[2][2] = {};
#pragma GCC unroll 2
      for (size_t i = 0; i < 2; ++i) {
        if (t + i >= n) break;
        if (left > 16)
          load_sixteens<kType, 2>(value + i * stride, d, left < 32 ? left - 16 : 16, ahead, v[i]);
        else
          load_sixteens<kType, 1>(value + i * stride, d, left, ahead, v[i]);
      }
      _mm512_storeu_si512(out + d, side_by_side(v[0][0], v[1][0]));
      if (left > 16) _mm512_storeu_si512(out + d + 16, side_by_side(v[0][1], v[1][1]));
    }
  }
}

// What both ways below have in common.
struct Rounded {
  enum : size_t { kTile = 8, kLanes = 16, kFew = 0, kStep = 2 };
  static constexpr bool kReadsCache = false;

  // Weights, in pairs of positions, take the place of the first half of the scores.
  template <int R>
  static void soften(float* weight, const size_t* n, float scale, float* largest, float* sum, float* shrink) {
    avx512::soften<R, 5>(weight, n, scale, largest, sum, shrink, [=](int r, __m512 low, __m512 high) {
      _mm512_store_si512(weight + r * kBlock, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    });
  }

  template <int R, int C, class Values>
  static void mix(const float* weight, const Values& values, size_t d, size_t from, size_t n, const float* shrink,
                  float* out, size_t out_stride, size_t last) {
    __m512 sum[R][C];
    take_sums<R, C>(out, out_stride, d, last, shrink, sum);
    const auto add = [&](size_t pair, __m512i seen) __attribute__((always_inline)) {
      __m512i v[C];
      values.template load<C>(pair, d, v);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) v[c] = _mm512_and_si512(v[c], seen);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512i w = in_each_lane(weight + static_cast<size_t>(r) * kBlock + pair);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) sum[r][c] = add_products(sum[r][c], v[c], w);
      }
    };
    for (size_t pair = from / 2; pair < n / 2; ++pair) add(pair, _mm512_set1_epi32(-1));
    // The last one's neighbour is not seen: not even as 0 * infinity.
    if (n % 2 != 0) add(n / 2, _mm512_set1_epi32(0xffff));
    put_sums<R, C>(sum, d, last, out, out_stride);
  }

  static void multiply(float* out, size_t n, float factor) { avx512::multiply(out, n, factor); }
};

// Of any rows: keys transposed, values interleaved.
struct Pairs : Rounded {
  enum : size_t { kTogether = 0 };

  static void load_keys(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out) {
    const KeyRows keys{key_rows(a, from), a.key_stride, n, ahead};
    by_type(a.kv_type, [&]<KvType kType>(OfType<kType>) { key_pairs<kType>(keys, a.key_dim, out); });
  }
  static void load_values(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out, size_t stride) {
    by_type(a.kv_type, [&]<KvType kType>(OfType<kType>) {
      value_pairs<kType>(value_rows(a, from), a.value_stride, a.value_dim, n, ahead, out, stride);
    });
  }

  struct Keys {
    const float* pairs;
  };
  struct Values {
    const float* pairs;
    size_t stride;
    template <int C>
    void load(size_t pair, size_t d, __m512i v[C]) const {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) v[c] = _mm512_loadu_si512(pairs + pair * stride + d + static_cast<size_t>(16 * c));
    }
  };
  static Values values(const AttendArgs&, const Scratch& s) { return {s.value, s.value_stride}; }

  // q: pairs of dimensions.
  template <int R>
  static void scores(const float* q, size_t q_stride, const Keys& keys, size_t key_dim, float* weight) {
    __m512 sum[R][2];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (size_t pair = 0; pair < key_dim / 2; ++pair) {
      const __m512i low = _mm512_load_si512(keys.pairs + pair * kBlock);
      const __m512i high = _mm512_load_si512(keys.pairs + pair * kBlock + 16);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512i x = in_each_lane(q + static_cast<size_t>(r) * q_stride + pair);
        sum[r][0] = add_products(sum[r][0], low, x);
        sum[r][1] = add_products(sum[r][1], high, x);
      }
    }
    put_scores<R>(sum, weight);
  }
};

// Sixteen rows at a time, a row in each lane: then keys stay as they lie, and values are interleaved as they are read.
// Cached rows become lines of 32 numbers, those of a block's positions one behind the other.
struct Lanes : Rounded {
  enum : size_t { kTogether = 16, kLine = 32, kDwords = kBlock * kLine / 2 };  // of a block's lines side by side

  template <KvType kType>
  static void load(const std::byte* row, size_t stride, size_t dim, size_t n, ptrdiff_t ahead, float* out) {
    for (size_t t = 0; t < n; ++t, row += stride, out += kLine / 2) {
      for (size_t d = 0; d < dim; d += kLine) {
        const size_t left = dim - d;
        __m512 v[2] = {};
        if (left > 16)
          load_sixteens<kType, 2>(row, d, left < 32 ? left - 16 : 16, ahead, v);
        else
          load_sixteens<kType, 1>(row, d, left, ahead, v);
        _mm512_store_si512(out + d / kLine * kDwords, (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]));
      }
    }
  }
  // Whether values are the first numbers of the keys.
  static bool are_keys(const AttendArgs& a) {
    return a.value_at == a.key_at && a.value_stride == a.key_stride && a.value_dim <= a.key_dim;
  }
  static void load_keys(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out) {
    by_type(a.kv_type, [&]<KvType kType>(OfType<kType>) {
      load<kType>(key_rows(a, from), a.key_stride, a.key_dim, n, ahead, out);
    });
  }
  static void load_values(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out, size_t) {
    if (are_keys(a)) return;
    by_type(a.kv_type, [&]<KvType kType>(OfType<kType>) {
      load<kType>(value_rows(a, from), a.value_stride, a.value_dim, n, ahead, out);
    });
  }

  struct Keys {
    const float* lines;
  };
  struct Values {
    const float* lines;
    template <int C>
    void load(size_t pair, size_t d, __m512i v[C]) const {
      const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                           37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
      const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
#pragma GCC unroll 2
      for (size_t c = 0; c < C; c += 2) {
        const float* p = lines + (d / kLine + c / 2) * kDwords + pair * kLine;
        const __m512i first = _mm512_load_si512(p), second = _mm512_load_si512(p + kLine / 2);
        v[c] = _mm512_permutex2var_epi16(first, low, second);
        if (c + 1 < C) v[c + 1] = _mm512_permutex2var_epi16(first, high, second);
      }
    }
  };
  static Values values(const AttendArgs& a, const Scratch& s) { return {are_keys(a) ? s.key : s.value}; }

  // q: [key_dim / 2][16 rows] pairs.
  static void scores(const float* q, const Keys& keys, size_t key_dim, float* weight) {
    for (size_t half = 0; half < kBlock; half += 16) {
      __m512 sum[16];
#pragma GCC unroll 16
      for (size_t t = 0; t < 16; ++t) sum[t] = _mm512_setzero_ps();
      for (size_t pair = 0; pair < key_dim / 2; ++pair) {
        const float* key = keys.lines + pair / 16 * kDwords + half * 16 + pair % 16;
        const __m512i x = _mm512_load_si512(q + 16 * pair);
#pragma GCC unroll 16
        for (size_t t = 0; t < 16; ++t) sum[t] = add_products(sum[t], in_each_lane(key + 16 * t), x);
      }
      __m512i score[16];
#pragma GCC unroll 16
      for (size_t t = 0; t < 16; ++t) score[t] = _mm512_castps_si512(sum[t]);
      transpose(score);
#pragma GCC unroll 16
      for (size_t r = 0; r < 16; ++r) _mm512_store_si512(weight + r * kBlock + half, score[r]);
    }
  }
};

// Numbers d to d + 31 of n, an even one, in pairs.
inline __m512i round_pairs(const float* x, size_t d, size_t n) {
  const size_t left = n - d;
  const __m512 low = _mm512_maskz_loadu_ps(first(left), x + d);
  const __m512 high = _mm512_maskz_loadu_ps(first(left > 16 ? left - 16 : 0), x + d + 16);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

void round_row(const float* x, size_t n, float* y) {
  for (size_t d = 0; d < n; d += 32) _mm512_mask_storeu_epi32(y + d / 2, first((n - d) / 2), round_pairs(x, d, n));
}

// Sixteen rows -> y [n / 2][16]
void round_lanes(const float* x, size_t stride, size_t n, float* y) {
  for (size_t d = 0; d < n; d += 32) {
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t r = 0; r < 16; ++r) v[r] = round_pairs(x + r * stride, d, n);
    transpose(v);
#pragma GCC unroll 16
    for (size_t j = 0; j < 16; ++j)
      if (d + 2 * j < n) _mm512_store_si512(y + (d / 2 + j) * 16, v[j]);
  }
}

}  // namespace

void attend_bf16(const AttendArgs& a) {
  if (!by_type(a.kv_type, [](auto) {})) return avx512::attend_f32(a);
  AttendArgs rounded = a;
  float* q = a.scratch + KETTE_ATTEND_ROWS(a.key_dim, a.value_dim, a.rows);
  rounded.q = q;
  rounded.q_stride = a.key_dim / 2;
  // A line of 32 numbers is half of what there is room for where keys have as many.
  if (a.rows % Lanes::kTogether == 0 && a.key_dim >= Lanes::kLine) {
    for (size_t r = 0; r < a.rows; r += 16)
      round_lanes(a.q + r * a.q_stride, a.q_stride, a.key_dim, q + r * rounded.q_stride);
    return attend_by<Lanes>(rounded);
  }
  for (size_t r = 0; r < a.rows; ++r) round_row(a.q + r * a.q_stride, a.key_dim, q + r * rounded.q_stride);
  attend_by<Pairs>(rounded);
}

}  // namespace kette::kernels::avx512_bf16
