// q4_1 into a bfloat16 panel.
#include "kernels/avx2/codes_q4_1.h"
#include "kernels/avx512_bf16/unpack_codes.h"

namespace kette::kernels::avx512_bf16 {

void unpack_q4_1_bf16(const UnpackArgs& a) { unpack_codes<avx2::Q4_1>(a); }

}  // namespace kette::kernels::avx512_bf16
