// q4_0: 32 weights are f16 d, 16 bytes (low nibbles, then high), meaning (code - 8) * d. Four blocks a step.
#include "kernels/avx512/dot.h"
#include "kernels/avx512/nibbles.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4_0 {
  enum : size_t { kWeights = 128, kBlock = 18, kBytes = 4 * kBlock };
  enum : bool { kQ8 = true };
  struct X {
    __m512i low, high;  // [4 blocks][16]: their first halves, their second halves
    __m512i start;
    __m128 scale;
  };
  struct W {
    __m512i low, high;
    __m128 d;
  };

  static X activation(const Activation& x) {
    const __m512i q0 = load(x.q), q1 = load(x.q + 64);
    const __m512i low = _mm512_shuffle_i32x4(q0, q1, _MM_SHUFFLE(2, 0, 2, 0));
    const __m512i high = _mm512_shuffle_i32x4(q0, q1, _MM_SHUFFLE(3, 1, 3, 1));
    return {low, high, _mm512_add_epi32(start(low, 8), start(high, 8)), _mm_loadu_ps(x.scale)};
  }

  static W unpack(const uint8_t* p) {
    const __m512i nibbles = load16x4(p + 2, kBlock);
    return {low_nibbles(nibbles), high_nibbles(nibbles), load_half_x4(p, kBlock)};
  }

  static __m512 add(const W& w, const X& x, __m512 sum) {
    const __m512i dot = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(x.start, w.low, x.low), w.high, x.high);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), spread4(_mm_mul_ps(w.d, x.scale)), sum);
  }
};

}  // namespace

void dot_q4_0_few(const DotArgs& a) { dot_rows<Q4_0>(a); }

}  // namespace kette::kernels::avx512
