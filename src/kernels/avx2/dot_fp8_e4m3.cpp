// fp8_e4m3 weights, with a scale for each tile, times f32 activations.
#include "kernels/avx2/dot.h"
#include "kernels/dot_fp8.h"

namespace kette::kernels::avx2 {
namespace {

struct Fp8 : Lanes {
  enum : size_t { kStep = 16 };
  struct Weights {
    __m256 v[2];
  };
  using Worst = __m256i;

  static Worst none() { return _mm256_setzero_si256(); }
  static bool has_nan(Worst worst) {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(worst, _mm256_set1_epi8(0x7f))) != 0;
  }
  // A byte's exponent and mantissa are put in those of a half, whose bias is larger by 8.
  static Weights widen(const uint8_t* bytes, Worst& worst) {
    const __m256i twice = _mm256_broadcastsi128_si256(load16(bytes));
    const __m256i upper = _mm256_setr_epi8(-1, 0, -1, 1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1, 7,  //
                                           -1, 8, -1, 9, -1, 10, -1, 11, -1, 12, -1, 13, -1, 14, -1, 15);
    const __m256i signs = _mm256_srai_epi16(_mm256_shuffle_epi8(twice, upper), 1);
    worst = _mm256_max_epu8(worst, _mm256_and_si256(twice, _mm256_set1_epi8(0x7f)));
    const __m256i half = _mm256_and_si256(signs, _mm256_set1_epi16(static_cast<short>(0xbfff)));
    return {{_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))}};
  }
  static Vector add(const Weights& w, const float* x, Vector sum) {
    sum = _mm256_fmadd_ps(w.v[0], _mm256_loadu_ps(x), sum);
    return _mm256_fmadd_ps(w.v[1], _mm256_loadu_ps(x + 8), sum);
  }
  static Vector scaled(Vector part, float factor, Vector sum) {
    return _mm256_fmadd_ps(part, _mm256_set1_ps(factor), sum);
  }
};

}  // namespace

void dot_fp8_e4m3_few(const DotArgs& a) { dot_fp8<Fp8>(a); }

}  // namespace kette::kernels::avx2
