// fp8_e4m3 weights, with a scale for each tile, times f32 activations.
#include "kernels/avx512/dot.h"
#include "kernels/dot_fp8.h"

namespace kette::kernels::avx512 {
namespace {

struct Fp8 : Lanes {
  enum : size_t { kStep = 32 };
  struct Weights {
    __m512 v[2];
  };
  using Worst = __m256i;

  static Worst none() { return _mm256_setzero_si256(); }
  static bool has_nan(Worst worst) { return _mm256_cmpeq_epi8_mask(worst, _mm256_set1_epi8(0x7f)) != 0; }
  // A byte's exponent and mantissa are put in those of a half, whose bias is larger by 8.
  static Weights widen(const uint8_t* p, Worst& worst) {
    const __m256i bytes = load32(p);
    worst = _mm256_max_epu8(worst, _mm256_and_si256(bytes, _mm256_set1_epi8(0x7f)));
    const __m512i signs = _mm512_srai_epi16(_mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8), 1);
    const __m512i half = _mm512_and_si512(signs, _mm512_set1_epi16(static_cast<short>(0xbfff)));
    return {{_mm512_cvtph_ps(_mm512_castsi512_si256(half)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(half, 1))}};
  }
  static Vector add(const Weights& w, const float* x, Vector sum) {
    sum = _mm512_fmadd_ps(w.v[0], _mm512_loadu_ps(x), sum);
    return _mm512_fmadd_ps(w.v[1], _mm512_loadu_ps(x + 16), sum);
  }
  static Vector scaled(Vector part, float factor, Vector sum) {
    return _mm512_fmadd_ps(part, _mm512_set1_ps(factor), sum);
  }
};

}  // namespace

void dot_fp8_e4m3_few(const DotArgs& a) { dot_fp8<Fp8>(a); }

}  // namespace kette::kernels::avx512
