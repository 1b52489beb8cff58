// bf16 into a float panel.
#include "kernels/avx2/floats.h"
#include "kernels/avx2/unpack_plain.h"

namespace kette::kernels::avx2 {
namespace {

struct Bf16 {
  enum : size_t { kBytes = 2 };
  static __m256 load(const uint8_t* p) { return from_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
};

}  // namespace

void unpack_bf16_f32(const UnpackArgs& a) { unpack_plain<Bf16>(a); }

}  // namespace kette::kernels::avx2
