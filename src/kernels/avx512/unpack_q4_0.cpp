// q4_0 into a panel of integers.
#include "kernels/avx512/codes_q4_0.h"
#include "kernels/avx512/unpack_int.h"

namespace kette::kernels::avx512 {

void unpack_q4_0_ints(const UnpackArgs& a) { unpack_int<Q4_0>(a); }

}  // namespace kette::kernels::avx512
