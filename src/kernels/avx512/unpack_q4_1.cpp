// q4_1 into a panel of integers.
#include "kernels/avx512/codes_q4_1.h"
#include "kernels/avx512/unpack_int.h"

namespace kette::kernels::avx512 {

void unpack_q4_1_ints(const UnpackArgs& a) { unpack_int<Q4_1>(a); }

}  // namespace kette::kernels::avx512
