// f16 into a float panel.
#include "kernels/avx2/unpack_plain.h"

namespace kette::kernels::avx2 {
namespace {

struct F16 {
  enum : size_t { kBytes = 2 };
  static __m256 load(const uint8_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
};

}  // namespace

void unpack_f16_f32(const UnpackArgs& a) { unpack_plain<F16>(a); }

}  // namespace kette::kernels::avx2
