// q8_0: 32 numbers are f16 d and 32 signed bytes; d * byte.
#pragma once

#include "kernels/avx2/codes.h"

namespace kette::kernels::avx2 {
namespace {

struct Q8_0 {
  enum : size_t { kNumbers = 32, kBytes = 34, kRun = 32, kNibbles = 0 };
  enum : bool { kOffsets = false };

  static __m256i codes(const uint8_t* p, size_t) { return load_codes(p + 2); }
};

}  // namespace
}  // namespace kette::kernels::avx2
