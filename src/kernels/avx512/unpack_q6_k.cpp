// q6_k into a panel of integers.
#include "kernels/avx512/codes_q6_k.h"
#include "kernels/avx512/unpack_int.h"

namespace kette::kernels::avx512 {

void unpack_q6_k_ints(const UnpackArgs& a) { unpack_int<Q6K>(a); }

}  // namespace kette::kernels::avx512
