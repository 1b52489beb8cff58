// q4_k, for any number of activations.
#include "kernels/avx512/codes_q4_k.h"

namespace kette::kernels::avx512 {

void dot_q4_k_many(const DotArgs& a) { dot_strips<Q4K>(a); }

}  // namespace kette::kernels::avx512
