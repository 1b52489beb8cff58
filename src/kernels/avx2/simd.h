// What every file of this folder includes first: intrinsics and the kernel table.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"
