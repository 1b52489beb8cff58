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

struct Pairs {
  enum : size_t { kTile = 8, kLanes = 16, kFew = 0, kStep = 2 };
  static constexpr bool kReadsCache = false;

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
  };

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

  // Weights, in pairs of positions, take the place of the first half of the scores.
  template <int R>
  static void soften(float* weight, const size_t* n, float scale, float* largest, float* sum, float* shrink) {
    avx512::soften<R, 5>(weight, n, scale, largest, sum, shrink, [=](int r, __m512 low, __m512 high) {
      _mm512_store_si512(weight + r * kBlock, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    });
  }

  template <int R, int C>
  static void mix(const float* weight, const Values& values, size_t d, size_t from, size_t n, const float* shrink,
                  float* out, size_t out_stride, size_t last) {
    __m512 sum[R][C];
    take_sums<R, C>(out, out_stride, d, last, shrink, sum);
    const auto add = [&](size_t pair, __m512i seen) __attribute__((always_inline)) {
      __m512i v[C];
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const float* p = values.pairs + pair * values.stride + d + static_cast<size_t>(16 * c);
        v[c] = _mm512_and_si512(_mm512_loadu_si512(p), seen);
      }
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

// n numbers, an even one, rounded.
void round_row(const float* x, size_t n, float* y) {
  for (size_t d = 0; d < n; d += 32) {
    const size_t left = n - d;
    const __m512 low = _mm512_maskz_loadu_ps(first(left), x + d);
    const __m512 high = _mm512_maskz_loadu_ps(first(left > 16 ? left - 16 : 0), x + d + 16);
    _mm512_mask_storeu_epi32(y + d / 2, first(left / 2), (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
}

}  // namespace

void attend_bf16(const AttendArgs& a) {
  if (!by_type(a.kv_type, [](auto) {})) return avx512::attend_f32(a);
  AttendArgs rounded = a;
  float* q = a.scratch + KETTE_ATTEND_ROWS(a.key_dim, a.value_dim, a.rows);
  rounded.q = q;
  rounded.q_stride = a.key_dim / 2;
  for (size_t r = 0; r < a.rows; ++r) round_row(a.q + r * a.q_stride, a.key_dim, q + r * rounded.q_stride);
  attend_by<Pairs>(rounded);
}

}  // namespace kette::kernels::avx512_bf16
