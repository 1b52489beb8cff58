// f16 into a bfloat16 panel: pairs become floats and are narrowed.
#include "kernels/avx512_bf16/unpack_pairs.h"

namespace kette::kernels::avx512_bf16 {

void unpack_f16_bf16(const UnpackArgs& a) {
  unpack_pairs(a, [](__m512i pair) {
    return narrow(_mm512_cvtph_ps(_mm512_castsi512_si256(pair)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(pair, 1)));
  });
}

}  // namespace kette::kernels::avx512_bf16
