// iq4_nl into a float panel.
#include "kernels/avx2/codes_iq4_nl.h"
#include "kernels/avx2/unpack.h"

namespace kette::kernels::avx2 {

void unpack_iq4_nl_f32(const UnpackArgs& a) { unpack_codes<Iq4Nl>(a); }

}  // namespace kette::kernels::avx2
