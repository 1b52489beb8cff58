// How much memory this process may use.
#pragma once

#include <cstdint>

namespace kette {

// The machine's, or what the control group allows of it; 0 if neither can be found out.
uint64_t usable_memory();

}  // namespace kette
