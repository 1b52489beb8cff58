// How far oneDNN's generated code may go.
#pragma once

#include "base/cpu_features.h"

namespace kette::kernels {

// Keep generated code to `isa` and below; the best this CPU has is no limit. The setting is one for the process: the
// first call makes it, later ones change nothing. Returns what holds. Asks the system for AMX if that is kAmx.
Isa limit_generated_code(Isa isa);

}  // namespace kette::kernels
