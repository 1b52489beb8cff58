// Attention's arithmetic over blocks of keys and values; the walk over them is attend_walk.h.
#include "kernels/avx512/kv_block.h"
#include "kernels/avx512/softmax.h"

namespace kette::kernels::avx512 {
namespace {

struct Avx512 {
  enum : size_t { kTile = 8, kLanes = 16, kFew = 4, kStep = 1, kTogether = 0 };
  static constexpr bool kReadsCache = true;

  static void load_keys(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out) {
    avx512::load_keys(a, from, n, ahead, out);
  }
  static void load_values(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out, size_t stride) {
    avx512::load_values(a, from, n, ahead, out, stride);
  }

  // Where `mix` takes values [t][d], d a multiple of 32, from: C vectors, of the last of which `n` numbers are there.
  struct Values {
    const float* value;
    size_t stride;
    template <int C>
    void load(size_t t, size_t d, size_t, __m512 v[C]) const {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) v[c] = _mm512_loadu_ps(value + t * stride + d + static_cast<size_t>(16 * c));
    }
  };
  static Values values(const AttendArgs&, const Scratch& s) { return {s.value, s.value_stride}; }
  template <KvType kType>
  struct CachedValues {
    const std::byte* value;
    size_t stride;
    ptrdiff_t ahead;
    template <int C>
    void load(size_t t, size_t d, size_t n, __m512 v[C]) const {
      if constexpr (C > 2) load_sixteens<kType, 2>(value + t * stride, d, 16, ahead, v);
      constexpr int kBefore = (C - 1) / 2 * 2;
      load_sixteens<kType, C - kBefore>(value + t * stride, d + 16 * kBefore, n, ahead, v + kBefore);
    }
  };

  // Where `scores` takes keys from: f(t, d, number d of the keys t to t + 15), for both halves in order of d.
  struct Keys {
    const float* key;
    template <class F>
    __attribute__((always_inline)) void each(size_t key_dim, const F& f) const {
      for (size_t d = 0; d < key_dim; ++d) {
        f(0, d, _mm512_load_ps(key + d * kBlock));
        f(16, d, _mm512_load_ps(key + d * kBlock + 16));
      }
    }
  };
  template <KvType kType>
  struct CachedKeys {
    enum : size_t { kWidth = kPiece<kType> };
    KeyRows keys;
    template <class F>
    __attribute__((always_inline)) void each(size_t key_dim, const F& f) const {
      for (size_t d = 0; d < key_dim; d += kWidth) each_of_piece<kType>(keys, d, f);
    }
  };

  template <int R, class From>
  static void scores(const float* q, size_t q_stride, const From& keys, size_t key_dim, float* weight) {
    __m512 sum[R][2];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    keys.each(
        key_dim, [&](size_t t, size_t d, __m512 number) __attribute__((always_inline)) {
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r)
            sum[r][t / 16] =
                _mm512_fmadd_ps(_mm512_set1_ps(q[static_cast<size_t>(r) * q_stride + d]), number, sum[r][t / 16]);
        });
    put_scores<R>(sum, weight);
  }

  template <int R>
  static void soften(float* weight, const size_t* n, float scale, float* largest, float* sum, float* shrink) {
    avx512::soften<R, 8>(weight, n, scale, largest, sum, shrink, [=](int r, __m512 low, __m512 high) {
      _mm512_store_ps(weight + r * kBlock, low);
      _mm512_store_ps(weight + r * kBlock + 16, high);
    });
  }

  // out[r][d, d + 16 C) = out * shrink[r] + sum over t in [from, n) of weight[r][t] * value[t], added in order of t.
  // The last sixteen of them are only `last`.
  template <int R, int C, class Values>
  static void mix(const float* weight, const Values& values, size_t d, size_t from, size_t n, const float* shrink,
                  float* out, size_t out_stride, size_t last) {
    __m512 sum[R][C];
    take_sums<R, C>(out, out_stride, d, last, shrink, sum);
    for (size_t t = from; t < n; ++t) {
      __m512 v[C];
      values.template load<C>(t, d, last, v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512 w = _mm512_set1_ps(weight[static_cast<size_t>(r) * kBlock + t]);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) sum[r][c] = _mm512_fmadd_ps(w, v[c], sum[r][c]);
      }
    }
    put_sums<R, C>(sum, d, last, out, out_stride);
  }

  static void multiply(float* out, size_t n, float factor) { avx512::multiply(out, n, factor); }
};

}  // namespace

void attend_f32(const AttendArgs& a) { attend_by<Avx512>(a); }

}  // namespace kette::kernels::avx512
