// bf16 into a bfloat16 panel.
#include "kernels/avx512_bf16/unpack_pairs.h"

namespace kette::kernels::avx512_bf16 {

void unpack_bf16_bf16(const UnpackArgs& a) {
  unpack_pairs(a, [](__m512i pair) { return pair; });
}

}  // namespace kette::kernels::avx512_bf16
