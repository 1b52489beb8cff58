// The parts of the AVX2 vector kernels that have a file of their own.
#pragma once

#include "kernels/avx2/simd.h"

namespace kette::kernels::avx2 {

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16);

}  // namespace kette::kernels::avx2
