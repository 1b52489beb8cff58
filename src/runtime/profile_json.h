// A profile of forward passes as JSON, for people and for tools.
#pragma once

#include <string>

#include "nn/profile.h"

namespace kette {

// {"threads", "passes", "rows", "layers", "stretches_per_layer", "total": {...}, "phases": [{...}, ...]}, times of all
// passes together. Of each phase: name, times (entered), wall_us, share (of the total's), parallel_us (of wall_us: in
// stretches that several threads may take), serial_us (the rest), work_us (of all threads together, in those stretches),
// waiting_us (of an average thread: parallel_us - work_us / threads), late_us (of waiting_us: before its first task), lost
// (serial and waiting as a share of wall_us), stretches, tasks, and where bytes or operations are known gb_s and gop_s, by
// wall time.
std::string profile_json(const nn::Profile& profile, size_t layers);

}  // namespace kette
