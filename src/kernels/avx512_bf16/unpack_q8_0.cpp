// q8_0 into a bfloat16 panel.
#include "kernels/avx2/codes_q8_0.h"
#include "kernels/avx512_bf16/unpack_codes.h"

namespace kette::kernels::avx512_bf16 {

void unpack_q8_0_bf16(const UnpackArgs& a) { unpack_codes<avx2::Q8_0>(a); }

}  // namespace kette::kernels::avx512_bf16
