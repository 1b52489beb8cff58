// Attention's arithmetic over blocks of keys and values; the walk over them is attend_walk.h.
#include "kernels/avx2/kv_block.h"
#include "kernels/avx2/vector.h"

namespace kette::kernels::avx2 {
namespace {

struct Avx2 {
  enum : size_t { kTile = 6, kLanes = 8, kFew = 0, kStep = 1, kTogether = 0 };
  static constexpr bool kReadsCache = true;

  static void load_keys(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out) {
    avx2::load_keys(a, from, n, ahead, out);
  }
  static void load_values(const AttendArgs& a, size_t from, size_t n, ptrdiff_t ahead, float* out, size_t stride) {
    avx2::load_values(a, from, n, ahead, out, stride);
  }

  // Where `mix` takes values [t][d], d a multiple of 16, from: C vectors, of the last of which `n` numbers are there.
  struct Values {
    const float* value;
    size_t stride;
    template <int C>
    void load(size_t t, size_t d, size_t, __m256 v[C]) const {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) v[c] = _mm256_loadu_ps(value + t * stride + d + static_cast<size_t>(8 * c));
    }
  };
  static Values values(const AttendArgs&, const Scratch& s) { return {s.value, s.value_stride}; }
  template <KvType kType>
  struct CachedValues {
    const std::byte* value;
    size_t stride;
    ptrdiff_t ahead;
    template <int C>
    void load(size_t t, size_t d, size_t n, __m256 v[C]) const {
      if constexpr (C > 2) load_eights<kType, 2>(value + t * stride, d, 8, ahead, v);
      constexpr int kBefore = (C - 1) / 2 * 2;
      load_eights<kType, C - kBefore>(value + t * stride, d + 8 * kBefore, n, ahead, v + kBefore);
    }
  };

  // 16 of the block's keys.
  template <int R>
  static void half_scores(const float* q, size_t q_stride, const float* key, size_t key_dim, float* weight) {
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

  struct Keys {
    const float* key;
  };
  template <int R>
  static void scores(const float* q, size_t q_stride, Keys keys, size_t key_dim, float* weight) {
    half_scores<R>(q, q_stride, keys.key, key_dim, weight);
    half_scores<R>(q, q_stride, keys.key + 16, key_dim, weight + 16);
  }

  // One row's scores, of which n count, into weights. Returns what its sums so far must be multiplied by.
  static float soften_row(float* weight, size_t n, float scale, float* largest, float* sum) {
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
  template <int R>
  static void soften(float* weight, const size_t* n, float scale, float* largest, float* sum, float* shrink) {
    for (size_t r = 0; r < R; ++r)
      shrink[r] = n[r] == 0 ? 1.0f : soften_row(weight + r * kBlock, n[r], scale, largest + r, sum + r);
  }

  // out[r][d, d + 8 C) = out * shrink[r] + sum over t in [from, n) of weight[r][t] * value[t], added in order of t. The
  // last eight of them are only `last`.
  template <int R, int C, class Values>
  static void mix(const float* weight, const Values& values, size_t d, size_t from, size_t n, const float* shrink,
                  float* out, size_t out_stride, size_t last) {
    __m256 sum[R][C];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
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
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) sum[r][c] = _mm256_fmadd_ps(w, v[c], sum[r][c]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c)
        store_first(out + static_cast<size_t>(r) * out_stride + d + static_cast<size_t>(8 * c), c == C - 1 ? last : 8,
                    sum[r][c]);
    }
  }

  static void multiply(float* out, size_t n, float factor) {
    for (size_t d = 0; d < n; d += 8)
      store_first(out + d, n - d, _mm256_mul_ps(load_first(out + d, n - d), _mm256_set1_ps(factor)));
  }
};

}  // namespace

void attend_f32(const AttendArgs& a) { attend_by<Avx2>(a); }

}  // namespace kette::kernels::avx2
