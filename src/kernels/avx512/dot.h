// What the dot kernels of float formats have in common. Internal linkage only.
#pragma once

#include "kernels/avx512/floats.h"
#include "kernels/dot_walk.h"

namespace kette::kernels::avx512 {
namespace {

struct Lanes {
  using Vector = __m512;
  enum : int { kMost = 4 };
  static Vector zero() { return _mm512_setzero_ps(); }
  static float total(Vector v) { return _mm512_reduce_add_ps(v); }
};

inline __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

}  // namespace
}  // namespace kette::kernels::avx512
