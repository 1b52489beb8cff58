// What the dot kernels of float formats have in common. Internal linkage only.
#pragma once

#include "kernels/avx2/floats.h"
#include "kernels/dot_walk.h"

namespace kette::kernels::avx2 {
namespace {

struct Lanes {
  using Vector = __m256;
  enum : int { kMost = 2 };
  static Vector zero() { return _mm256_setzero_ps(); }
  static float total(Vector v) { return avx2::total(v); }
};

inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

}  // namespace
}  // namespace kette::kernels::avx2
