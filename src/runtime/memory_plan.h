// What a model takes, from its headers alone.
#pragma once

#include <cstdint>
#include <string_view>

#include "file/checkpoint.h"
#include "models/weight_types.h"

namespace kette {

// Does the model read the tensor? Of layers behind the last only the first, where it is a multi-token prediction module.
bool is_read(const Checkpoint& checkpoint, const CheckpointTensor& tensor);

// Without the multi-token prediction module's.
struct Parameters {
  uint64_t all = 0;
  uint64_t active = 0;  // that one token meets: of the routed experts those that are chosen
};
Parameters count_parameters(const Checkpoint& checkpoint);

uint64_t stored_bytes(const Checkpoint& checkpoint);                            // of what is read
uint64_t weight_bytes(const Checkpoint& checkpoint, const WeightTypes& types);  // the same, encoded as `types` says
uint64_t kv_numbers_per_token(const Checkpoint& checkpoint);                    // 0 if the settings do not say

}  // namespace kette
