// q6_k into a float panel.
#include "kernels/avx2/codes_q6_k.h"
#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {

void unpack_q6_k_f32(const UnpackArgs& a) { unpack_codes<Q6K>(a); }

}  // namespace kette::kernels::avx2
