// q4_k into a float panel.
#include "kernels/avx2/codes_q4_k.h"
#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {

void unpack_q4_k_f32(const UnpackArgs& a) { unpack_codes<Q4K>(a); }

}  // namespace kette::kernels::avx2
