// q6_k, for any number of activations.
#include "kernels/avx512/codes_q6_k.h"

namespace kette::kernels::avx512 {

void dot_q6_k_many(const DotArgs& a) { dot_strips<Q6K>(a); }

}  // namespace kette::kernels::avx512
