// f16 weights times f32 activations.
#include "kernels/avx512/dot.h"

namespace kette::kernels::avx512 {
namespace {

struct F16 {
  enum : size_t { kWeights = 32, kBytes = 64 };
  struct X {
    __m512 v[2];
  };
  using W = X;

  static X activation(const Activation& x) { return {{_mm512_loadu_ps(x.f32), _mm512_loadu_ps(x.f32 + 16)}}; }
  static W unpack(const uint8_t* p) { return {{_mm512_cvtph_ps(load32(p)), _mm512_cvtph_ps(load32(p + 32))}}; }
  static __m512 add(const W& w, const X& x, __m512 sum) {
    return _mm512_fmadd_ps(w.v[1], x.v[1], _mm512_fmadd_ps(w.v[0], x.v[0], sum));
  }
};

}  // namespace

void dot_f16_few(const DotArgs& a) { dot_rows<Lanes, F16>(a); }

}  // namespace kette::kernels::avx512
