// q4_k: 256 weights are f16 d, f16 dmin, 12 bytes of eight 6-bit scales and mins, 128 bytes of nibbles, each 32 of
// which hold a sub-block of 32 in the low and the next one in the high nibbles; d * scale * code - dmin * min.
#include "kernels/avx512/dot.h"
#include "kernels/avx512/nibbles.h"

namespace kette::kernels::avx512 {
namespace {

struct Q4K {
  enum : size_t { kWeights = 256, kBytes = 144 };
  enum : bool { kQ8 = true };
  struct X {
    __m512i q[4];    // sub-blocks 0 2, 1 3, 4 6, 5 7: the order in which nibbles come
    __m512 factors;  // [8] scale, [8] -(sum of the 32)
  };
  struct W {
    __m512i codes[4];
    __m512 factors;  // [8] d * scale, [8] dmin * min
  };

  static X activation(const Activation& x) {
    X out;
    for (int half = 0; half < 2; ++half) {
      const __m512i q0 = load(x.q + 128 * half), q1 = load(x.q + 128 * half + 64);
      out.q[2 * half] = _mm512_shuffle_i64x2(q0, q1, _MM_SHUFFLE(1, 0, 1, 0));
      out.q[2 * half + 1] = _mm512_shuffle_i64x2(q0, q1, _MM_SHUFFLE(3, 2, 3, 2));
    }
    const __m512 sums = _mm512_loadu_ps(x.sum16);
    const __m512 pairs = _mm512_add_ps(sums, _mm512_permute_ps(sums, 0xb1));
    const __m512i even = _mm512_set_epi32(14, 12, 10, 8, 6, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512 negative = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_permutexvar_ps(even, pairs));
    out.factors = _mm512_insertf32x8(negative, _mm256_loadu_ps(x.scale), 0);
    return out;
  }

  // Dwords a b c of packed sixes: bytes of a are scales 0 to 3, of b mins 0 to 3 (6 bits); those 4 to 7 have their
  // low four bits in c (scale in the low nibble, min in the high one) and the upper two in the top of a and b.
  static __m512 factors(const uint8_t* p) {
    const __m128i head = load16(p);  // d dmin, a, b, c
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0)),
                      _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
    const __m128i top = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                                      _mm_set_epi32(0x30303030, 0, 0x30303030, 0));
    const __m512 sixes = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, top)));
    const __m512i index = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_mul_ps(sixes, _mm512_permutexvar_ps(index, _mm512_castps128_ps512(_mm_cvtph_ps(head))));
  }

  static W unpack(const uint8_t* p) {
    const __m512i v0 = load(p + 16), v1 = load(p + 80);
    return {{low_nibbles(v0), high_nibbles(v0), low_nibbles(v1), high_nibbles(v1)}, factors(p)};
  }

  static __m512 add_pair(__m512i codes, __m512i q, __m512 scale, int first, int second, __m512 sum) {
    const __m512i index = _mm512_inserti64x4(_mm512_set1_epi32(first), _mm256_set1_epi32(second), 1);
    const __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, q);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(index, scale), sum);
  }

  static __m512 add(const W& w, const X& x, __m512 sum) {
    const __m512 scale = _mm512_mul_ps(w.factors, x.factors);
    sum = add_pair(w.codes[0], x.q[0], scale, 0, 2, sum);
    sum = add_pair(w.codes[1], x.q[1], scale, 1, 3, sum);
    sum = add_pair(w.codes[2], x.q[2], scale, 4, 6, sum);
    sum = add_pair(w.codes[3], x.q[3], scale, 5, 7, sum);
    return _mm512_mask3_fmadd_ps(w.factors, x.factors, sum, 0xff00);  // the mins
  }
};

}  // namespace

void dot_q4_k_few(const DotArgs& a) { dot_rows<Q4K>(a); }

}  // namespace kette::kernels::avx512
