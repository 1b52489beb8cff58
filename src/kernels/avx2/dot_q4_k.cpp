// q4_k: 256 weights are f16 d, f16 dmin, 12 bytes of eight 6-bit scales and mins, 128 bytes of nibbles, each 32 of
// which hold a sub-block of 32 in the low and the next one in the high nibbles; d * scale * code - dmin * min.
#include "kernels/avx2/dot.h"

namespace kette::kernels::avx2 {
namespace {

struct Q4K {
  enum : size_t { kWeights = 256, kBytes = 144 };
  enum : bool { kQ8 = true };
  struct X {
    const int8_t* q;
    __m256 scale;     // [8]
    __m256 negative;  // [8] -(sum of the 32)
  };
  struct W {
    const uint8_t* codes;
    __m256 scale, min;  // [8] d * scale, dmin * min
  };

  static X activation(const Activation& x) {
    // Sums of neighbours come as 0 1 4 5 2 3 6 7 of pairs: put the middle quarters in place.
    const __m256 pairs = _mm256_hadd_ps(_mm256_loadu_ps(x.sum16), _mm256_loadu_ps(x.sum16 + 8));
    const __m256 sum32 =
        _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), _MM_SHUFFLE(3, 1, 2, 0)));
    return {x.q, _mm256_loadu_ps(x.scale), _mm256_sub_ps(_mm256_setzero_ps(), sum32)};
  }

  // Dwords a b c of packed sixes: bytes of a are scales 0 to 3, of b mins 0 to 3 (6 bits); those 4 to 7 have their
  // low four bits in c (scale in the low nibble, min in the high one) and the upper two in the top of a and b.
  static W unpack(const uint8_t* p) {
    const __m128i head = load16(p);  // d dmin, a, b, c
    const __m128i low = _mm_and_si128(
        _mm_srlv_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0)),
        _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
    const __m128i top = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                                      _mm_set_epi32(0x30303030, 0, 0x30303030, 0));
    const __m128i sixes = _mm_or_si128(low, top);
    const __m128 d = _mm_cvtph_ps(head);
    const __m256 scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(sixes));
    const __m256 min = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(sixes, sixes)));
    return {p + 16, _mm256_mul_ps(scale, _mm256_broadcastss_ps(d)),
            _mm256_mul_ps(min, _mm256_broadcastss_ps(_mm_movehdup_ps(d)))};
  }

  // 64 weights; scales of the two sub-blocks are lanes Lane, Lane + 1 of each half of `scale`.
  template <int Lane>
  static __m256 add_pair(const uint8_t* codes, const int8_t* q, __m256 scale, __m256 sum) {
    const __m256i v = load(codes), mask = _mm256_set1_epi8(15);
    sum = scaled_add(dot32(_mm256_and_si256(v, mask), load(q)), _mm256_permute_ps(scale, Lane * 0x55), sum);
    return scaled_add(dot32(_mm256_and_si256(_mm256_srli_epi16(v, 4), mask), load(q + 32)),
                      _mm256_permute_ps(scale, (Lane + 1) * 0x55), sum);
  }

  static __m256 add(const W& w, const X& x, __m256 sum) {
    const __m256 scale = _mm256_mul_ps(w.scale, x.scale);
    const __m256 scale0 = _mm256_permute2f128_ps(scale, scale, 0x00);
    const __m256 scale4 = _mm256_permute2f128_ps(scale, scale, 0x11);
    sum = _mm256_fmadd_ps(w.min, x.negative, sum);
    sum = add_pair<0>(w.codes, x.q, scale0, sum);
    sum = add_pair<2>(w.codes + 32, x.q + 64, scale0, sum);
    sum = add_pair<0>(w.codes + 64, x.q + 128, scale4, sum);
    return add_pair<2>(w.codes + 96, x.q + 192, scale4, sum);
  }
};

}  // namespace

void dot_q4_k(const DotArgs& a) { dot_rows<Q4K>(a); }

}  // namespace kette::kernels::avx2
