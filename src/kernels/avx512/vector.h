// The parts of the AVX-512 vector kernels that have a file of their own.
#pragma once

#include "kernels/avx512/simd.h"

namespace kette::kernels::avx512 {

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16);
void to_int(const float* x, size_t n, IntNumbers* y);

}  // namespace kette::kernels::avx512
