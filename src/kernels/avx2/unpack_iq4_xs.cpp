// iq4_xs into a float panel.
#include "kernels/avx2/codes_iq4_xs.h"
#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {

void unpack_iq4_xs_f32(const UnpackArgs& a) { unpack_codes<Iq4Xs>(a); }

}  // namespace kette::kernels::avx2
