// q4_1: 32 weights are f16 d, f16 m, 16 bytes (low nibbles, then high), meaning code * d + m. Four blocks a step.
#include "kernels/avx512/dot.h"
#include "kernels/avx512/nibbles.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4_1 {
  enum : size_t { kWeights = 128, kBlock = 20, kBytes = 4 * kBlock };
  enum : bool { kQ8 = true };
  struct X {
    __m512i low, high;  // [4 blocks][16]: their first halves, their second halves
    __m256 factors;     // [4 blocks][scale, sum of the 32]
  };
  struct W {
    __m512i low, high;
    __m256 factors;  // [4 blocks][d, m]
  };

  static X activation(const Activation& x) {
    const __m512i q0 = load(x.q), q1 = load(x.q + 64);
    const __m128 s0 = _mm_loadu_ps(x.sum16), s1 = _mm_loadu_ps(x.sum16 + 4);
    const __m128 sum32 = _mm_hadd_ps(s0, s1), scale = _mm_loadu_ps(x.scale);
    return {_mm512_shuffle_i32x4(q0, q1, _MM_SHUFFLE(2, 0, 2, 0)),
            _mm512_shuffle_i32x4(q0, q1, _MM_SHUFFLE(3, 1, 3, 1)),
            _mm256_set_m128(_mm_unpackhi_ps(scale, sum32), _mm_unpacklo_ps(scale, sum32))};
  }

  static W unpack(const uint8_t* p) {
    int32_t dm[4];
    for (size_t b = 0; b < 4; ++b) memcpy(&dm[b], p + b * kBlock, 4);
    const __m512i nibbles = load16x4(p + 4, kBlock);
    return {low_nibbles(nibbles), high_nibbles(nibbles), _mm256_cvtph_ps(_mm_set_epi32(dm[3], dm[2], dm[1], dm[0]))};
  }

  static __m512 add(const W& w, const X& x, __m512 sum) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i dot = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, w.low, x.low), w.high, x.high);
    const __m512 scale = _mm512_castps256_ps512(_mm256_mul_ps(w.factors, x.factors));
    const __m512i index = _mm512_set_epi32(6, 6, 6, 6, 4, 4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(index, scale), sum);
    const __m512 wf = _mm512_castps256_ps512(w.factors), xf = _mm512_castps256_ps512(x.factors);
    return _mm512_mask3_fmadd_ps(wf, xf, sum, 0xaa);  // m * sum of the 32
  }
};

}  // namespace

void dot_q4_1_few(const DotArgs& a) { dot_rows<Q4_1>(a); }

}  // namespace kette::kernels::avx512
