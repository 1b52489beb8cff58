// iq4_xs into a bfloat16 panel.
#include "kernels/avx2/codes_iq4_xs.h"
#include "kernels/avx512_bf16/unpack_codes.h"

namespace kette::kernels::avx512_bf16 {

void unpack_iq4_xs_bf16(const UnpackArgs& a) { unpack_codes<avx2::Iq4Xs>(a); }

}  // namespace kette::kernels::avx512_bf16
