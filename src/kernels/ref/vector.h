// Reference kernels that the lists of other instruction sets take too.
#pragma once

#include "kernels/kernel_table.h"

namespace kette::kernels::ref {

void to_int(const float* x, size_t n, IntNumbers* y);

}  // namespace kette::kernels::ref
