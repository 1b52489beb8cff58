// The parts of the reference vector kernels that have a file of their own.
#pragma once

#include "kernels/kernel_table.h"

namespace kette::kernels::ref {

void attend(const AttendArgs& a);

}  // namespace kette::kernels::ref
