// q8_0: 32 weights are f16 d, 32 int8. Four blocks a step.
#include "kernels/avx512/dot.h"

namespace kette::kernels::avx512 {
namespace {

struct Q8_0 {
  enum : size_t { kWeights = 128, kBlock = 34, kBytes = 4 * kBlock };
  enum : bool { kQ8 = true };
  struct X {
    __m512i q[2], start[2];
    __m128 scale;
  };
  struct W {
    __m512i codes[2];  // weight + 128: the dot instruction wants one side unsigned
    __m128 d;
  };

  static X activation(const Activation& x) {
    const __m512i q0 = load(x.q), q1 = load(x.q + 64);
    return {{q0, q1}, {start(q0, 128), start(q1, 128)}, _mm_loadu_ps(x.scale)};
  }

  static __m512i pair(const uint8_t* p) {
    const __m512i w = _mm512_inserti64x4(_mm512_castsi256_si512(load32(p + 2)), load32(p + kBlock + 2), 1);
    return _mm512_xor_si512(w, _mm512_set1_epi8(static_cast<char>(0x80)));
  }

  static W unpack(const uint8_t* p) { return {{pair(p), pair(p + 2 * kBlock)}, load_half_x4(p, kBlock)}; }

  static __m512 add(const W& w, const X& x, __m512 sum) {
    const __m512 scale = _mm512_castps128_ps512(_mm_mul_ps(w.d, x.scale));
    const __m512i half = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i dot0 = _mm512_dpbusd_epi32(x.start[0], w.codes[0], x.q[0]);
    const __m512i dot1 = _mm512_dpbusd_epi32(x.start[1], w.codes[1], x.q[1]);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot0), _mm512_permutexvar_ps(half, scale), sum);
    const __m512i half2 = _mm512_set_epi32(3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot1), _mm512_permutexvar_ps(half2, scale), sum);
  }
};

}  // namespace

void dot_q8_0_few(const DotArgs& a) { dot_rows<Q8_0>(a); }

}  // namespace kette::kernels::avx512
