// q4_0, for any number of activations.
#include "kernels/avx512/codes_q4_0.h"

namespace kette::kernels::avx512 {

void dot_q4_0_many(const DotArgs& a) { dot_strips<Q4_0>(a); }

}  // namespace kette::kernels::avx512
