// q6_k: 256 weights are 128 bytes of low nibbles, 64 bytes of upper two bits, 16 int8 scales (one of 16 weights),
// f16 d; d * scale * (code - 32). Of each 128 weights byte l of 64 holds weights l (low) and l + 64 (high nibble),
// and byte l of 32 the upper bits of weights l, l + 32, l + 64, l + 96.
#include "kernels/avx512/dot.h"
#include "kernels/avx512/nibbles.h"

namespace kette::kernels::avx512 {
namespace {

struct Q6K {
  enum : size_t { kWeights = 256, kBytes = 210 };
  enum : bool { kQ8 = true };
  struct X {
    __m512i q[4], start[4];
    __m512 scale;  // [16], each of eight twice
  };
  struct W {
    __m512i codes[4];
    __m512 scale;  // [16]
  };

  static X activation(const Activation& x) {
    X out;
    for (int i = 0; i < 4; ++i) {
      out.q[i] = load(x.q + 64 * i);
      out.start[i] = start(out.q[i], 32);
    }
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    out.scale = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(x.scale)));
    return out;
  }

  static void unpack_half(const uint8_t* nibbles, const uint8_t* upper, __m512i* codes) {
    const __m512i low = load(nibbles);
    const __m512i high = _mm512_broadcast_i64x4(load32(upper));
    const __m512i left = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    const __m512i right = _mm512_inserti64x4(_mm512_set1_epi16(0), _mm256_set1_epi16(2), 1);
    codes[0] = join(low, _mm512_sllv_epi16(high, left), 0x3f);
    codes[1] = join(_mm512_srli_epi16(low, 4), _mm512_srlv_epi16(high, right), 0x3f);
  }

  static W unpack(const uint8_t* p) {
    W out;
    unpack_half(p, p + 128, out.codes);
    unpack_half(p + 64, p + 160, out.codes + 2);
    uint16_t d;
    memcpy(&d, p + 208, 2);
    const __m512 scales = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p + 192)));
    out.scale = _mm512_mul_ps(scales, _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(d))));
    return out;
  }

  static __m512 add(const W& w, const X& x, __m512 sum) {
    const __m512 scale = _mm512_mul_ps(w.scale, x.scale);
    __m512i index = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i dot = _mm512_dpbusd_epi32(x.start[i], w.codes[i], x.q[i]);
      sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(index, scale), sum);
      index = _mm512_add_epi32(index, _mm512_set1_epi32(4));
    }
    return sum;
  }
};

}  // namespace

void dot_q6_k_few(const DotArgs& a) { dot_rows<Q6K>(a); }

}  // namespace kette::kernels::avx512
