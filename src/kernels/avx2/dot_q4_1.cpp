// q4_1: 32 weights are f16 d, f16 m, 16 bytes (low nibbles, then high), meaning code * d + m. Four blocks a step.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4_1 {
  enum : size_t { kWeights = 128, kBlock = 20, kBytes = 4 * kBlock };
  enum : bool { kQ8 = true };
  struct X {
    const int8_t* q;
    __m256 scale;  // [4 blocks][scale, 0]
    __m256 sum32;  // [4 blocks][0, sum of the 32]
  };
  struct W {
    __m256i codes[4];
    __m256 factors;  // [4 blocks][d, m]
  };

  static X activation(const Activation& x) {
    const __m128 zero = _mm_setzero_ps(), scale = _mm_loadu_ps(x.scale);
    const __m128 sum32 = _mm_hadd_ps(_mm_loadu_ps(x.sum16), _mm_loadu_ps(x.sum16 + 4));
    return {x.q, _mm256_set_m128(_mm_unpackhi_ps(scale, zero), _mm_unpacklo_ps(scale, zero)),
            _mm256_set_m128(_mm_unpackhi_ps(zero, sum32), _mm_unpacklo_ps(zero, sum32))};
  }

  static W unpack(const uint8_t* p) {
    int32_t dm[4];
    for (size_t b = 0; b < 4; ++b) memcpy(&dm[b], p + b * kBlock, 4);
    return {{nibbles(p + 4), nibbles(p + kBlock + 4), nibbles(p + 2 * kBlock + 4), nibbles(p + 3 * kBlock + 4)},
            _mm256_cvtph_ps(_mm_set_epi32(dm[3], dm[2], dm[1], dm[0]))};
  }

  static __m256 add(const W& w, const X& x, __m256 sum) {
    const __m256 scale = _mm256_mul_ps(w.factors, x.scale);
    const __m256 scale01 = _mm256_permute2f128_ps(scale, scale, 0x00);
    const __m256 scale23 = _mm256_permute2f128_ps(scale, scale, 0x11);
    sum = _mm256_fmadd_ps(w.factors, x.sum32, sum);
    sum = scaled_add(dot32(w.codes[0], load(x.q)), _mm256_permute_ps(scale01, 0x00), sum);
    sum = scaled_add(dot32(w.codes[1], load(x.q + 32)), _mm256_permute_ps(scale01, 0xaa), sum);
    sum = scaled_add(dot32(w.codes[2], load(x.q + 64)), _mm256_permute_ps(scale23, 0x00), sum);
    return scaled_add(dot32(w.codes[3], load(x.q + 96)), _mm256_permute_ps(scale23, 0xaa), sum);
  }
};

}  // namespace

void dot_q4_1(const DotArgs& a) { dot_rows<Q4_1>(a); }

}  // namespace kette::kernels::avx2
