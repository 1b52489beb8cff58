// q4_k into a panel of integers.
#include "kernels/avx512/codes_q4_k.h"
#include "kernels/avx512/unpack_int.h"

namespace kette::kernels::avx512 {

void unpack_q4_k_ints(const UnpackArgs& a) { unpack_int<Q4K>(a); }

}  // namespace kette::kernels::avx512
