// q8_0 into a panel of integers.
#include "kernels/avx512/codes_q8_0.h"
#include "kernels/avx512/unpack_int.h"

namespace kette::kernels::avx512 {

void unpack_q8_0_ints(const UnpackArgs& a) { unpack_int<Q8_0>(a); }

}  // namespace kette::kernels::avx512
