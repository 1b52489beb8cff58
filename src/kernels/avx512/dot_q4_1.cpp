// q4_1, for any number of activations.
#include "kernels/avx512/codes_q4_1.h"

namespace kette::kernels::avx512 {

void dot_q4_1_many(const DotArgs& a) { dot_strips<Q4_1>(a); }

}  // namespace kette::kernels::avx512
