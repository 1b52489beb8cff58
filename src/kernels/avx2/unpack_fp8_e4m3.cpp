// fp8_e4m3, with a factor for each tile, into a float panel.
#include "kernels/avx2/unpack_plain.h"

namespace kette::kernels::avx2 {
namespace {

struct Fp8 {
  enum : size_t { kBytes = 1 };

  // A byte's exponent and mantissa in those of a half, whose bias is larger by 8.
  static __m256 load(const uint8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m128i wide = _mm_slli_epi16(_mm_cvtepu8_epi16(bytes), 8);
    const __m128i half = _mm_and_si128(_mm_srai_epi16(wide, 1), _mm_set1_epi16(static_cast<short>(0xbfff)));
    // Not a number: all of the half's exponent.
    const __m128i magnitude = _mm_and_si128(half, _mm_set1_epi16(0x3fff));
    const __m128i nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x3f80));
    const __m256 small = _mm256_cvtph_ps(_mm_or_si128(half, _mm_and_si128(nan, _mm_set1_epi16(0x4000))));
    return _mm256_mul_ps(small, _mm256_set1_ps(256.0f));
  }
};

}  // namespace

void unpack_fp8_e4m3_f32(const UnpackArgs& a) { unpack_plain<Fp8>(a); }

}  // namespace kette::kernels::avx2
