#include "kette/api.h"

#include "handles.h"

namespace {

// Named and in order: a function that is missing here, in another place, or of another type does not compile.
constexpr kette_api kTable = {
    .size = sizeof(kette_api),
    .library_version = KETTE_VERSION,
#define KETTE_FUNCTION(name) .name = &kette_##name,
#include "functions.def"
#undef KETTE_FUNCTION
};

// The part of a version that an incompatible change raises.
constexpr uint32_t abi_of(uint32_t version) { return version >> 16 != 0 ? version >> 16 << 16 : version >> 8 << 8; }

}  // namespace

extern "C" {

const void* kette_get_api(uint32_t min_version) {
  return min_version <= KETTE_VERSION && abi_of(min_version) == abi_of(KETTE_VERSION) ? &kTable : nullptr;
}

}  // extern "C"
