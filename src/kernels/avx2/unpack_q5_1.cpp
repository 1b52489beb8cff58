// q5_1 into a float panel.
#include "kernels/avx2/codes_q5_1.h"
#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {

void unpack_q5_1_f32(const UnpackArgs& a) { unpack_codes<Q5_1>(a); }

}  // namespace kette::kernels::avx2
