// q4_0: 32 weights are f16 d, 16 bytes (low nibbles, then high), meaning (code - 8) * d. Four blocks a step.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4_0 {
  enum : size_t { kWeights = 128, kBlock = 18, kBytes = 4 * kBlock };
  enum : bool { kQ8 = true };
  struct X {
    const int8_t* q;
    __m256 scale;   // of the four blocks, twice
    __m256 offset;  // -8 * sum of each block; zeros
  };
  struct W {
    __m256i codes[4];
    __m256 d;  // of the four blocks, twice
  };

  static X activation(const Activation& x) {
    const __m128 sum32 = _mm_hadd_ps(_mm_loadu_ps(x.sum16), _mm_loadu_ps(x.sum16 + 4));
    const __m128 offset = _mm_mul_ps(sum32, _mm_set1_ps(-8.0f));
    return {x.q, both(_mm_loadu_ps(x.scale)), _mm256_set_m128(_mm_setzero_ps(), offset)};
  }

  static W unpack(const uint8_t* p) {
    return {{nibbles(p + 2), nibbles(p + kBlock + 2), nibbles(p + 2 * kBlock + 2), nibbles(p + 3 * kBlock + 2)},
            both(load_half_x4(p, kBlock))};
  }

  static __m256 add(const W& w, const X& x, __m256 sum) {
    const __m256 scale = _mm256_mul_ps(w.d, x.scale);
    sum = _mm256_fmadd_ps(w.d, x.offset, sum);
    sum = scaled_add(dot32(w.codes[0], load(x.q)), _mm256_permute_ps(scale, 0x00), sum);
    sum = scaled_add(dot32(w.codes[1], load(x.q + 32)), _mm256_permute_ps(scale, 0x55), sum);
    sum = scaled_add(dot32(w.codes[2], load(x.q + 64)), _mm256_permute_ps(scale, 0xaa), sum);
    return scaled_add(dot32(w.codes[3], load(x.q + 96)), _mm256_permute_ps(scale, 0xff), sum);
  }
};

}  // namespace

void dot_q4_0(const DotArgs& a) { dot_rows<Q4_0>(a); }

}  // namespace kette::kernels::avx2
