// q5_k into a bfloat16 panel.
#include "kernels/avx2/codes_q5_k.h"
#include "kernels/avx512_bf16/unpack_codes.h"

namespace kette::kernels::avx512_bf16 {

void unpack_q5_k_bf16(const UnpackArgs& a) { unpack_codes<avx2::Q5K>(a); }

}  // namespace kette::kernels::avx512_bf16
