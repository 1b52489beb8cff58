// f16 weights times f32 activations.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

struct F16 {
  enum : size_t { kWeights = 32, kBytes = 64 };
  struct X {
    const float* v;
  };
  struct W {
    __m256 v[4];
  };

  static X activation(const Activation& x) { return {x.f32}; }
  static W unpack(const uint8_t* p) {
    return {{_mm256_cvtph_ps(load16(p)), _mm256_cvtph_ps(load16(p + 16)), _mm256_cvtph_ps(load16(p + 32)),
             _mm256_cvtph_ps(load16(p + 48))}};
  }
  static __m256 add(const W& w, const X& x, __m256 sum) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum = _mm256_fmadd_ps(w.v[i], _mm256_loadu_ps(x.v + 8 * i), sum);
    return sum;
  }
};

}  // namespace

void dot_f16_few(const DotArgs& a) { dot_rows<Lanes, F16>(a); }

}  // namespace kette::kernels::avx2
