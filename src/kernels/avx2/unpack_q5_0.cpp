// q5_0 into a float panel.
#include "kernels/avx2/codes_q5_0.h"
#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {

void unpack_q5_0_f32(const UnpackArgs& a) { unpack_codes<Q5_0>(a); }

}  // namespace kette::kernels::avx2
