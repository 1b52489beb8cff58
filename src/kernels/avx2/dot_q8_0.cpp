// q8_0: 32 weights are f16 d, 32 int8. Four blocks a step.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

struct Q8_0 {
  enum : size_t { kWeights = 128, kBlock = 34, kBytes = 4 * kBlock };
  enum : bool { kQ8 = true };
  struct X {
    const int8_t* q;
    __m128 scale;
  };
  struct W {
    const uint8_t* blocks;
    __m128 d;
  };

  static X activation(const Activation& x) { return {x.q, _mm_loadu_ps(x.scale)}; }
  static W unpack(const uint8_t* p) { return {p, load_half_x4(p, kBlock)}; }

  // The weight's sign goes over to the activation: the multiply wants one side unsigned.
  static __m256i dot(const W& w, const X& x, size_t block) {
    const __m256i weight = load(w.blocks + block * kBlock + 2);
    return dot32(_mm256_abs_epi8(weight), _mm256_sign_epi8(load(x.q + 32 * block), weight));
  }

  static __m256 add(const W& w, const X& x, __m256 sum) {
    const __m256 scale = both(_mm_mul_ps(w.d, x.scale));
    sum = scaled_add(dot(w, x, 0), _mm256_permute_ps(scale, 0x00), sum);
    sum = scaled_add(dot(w, x, 1), _mm256_permute_ps(scale, 0x55), sum);
    sum = scaled_add(dot(w, x, 2), _mm256_permute_ps(scale, 0xaa), sum);
    return scaled_add(dot(w, x, 3), _mm256_permute_ps(scale, 0xff), sum);
  }
};

}  // namespace

void dot_q8_0(const DotArgs& a) { dot_rows<Q8_0>(a); }

}  // namespace kette::kernels::avx2
