// q5_1 into a bfloat16 panel.
#include "kernels/avx2/codes_q5_1.h"
#include "kernels/avx512_bf16/unpack_codes.h"

namespace kette::kernels::avx512_bf16 {

void unpack_q5_1_bf16(const UnpackArgs& a) { unpack_codes<avx2::Q5_1>(a); }

}  // namespace kette::kernels::avx512_bf16
