// The parts of the reference vector kernels that have a file of their own.
#pragma once

#include "kernels/kernel_table.h"

namespace kette::kernels::ref {

void to_int(const float* x, size_t n, IntNumbers* y);

}  // namespace kette::kernels::ref
