// What a model takes, from its headers alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "file/checkpoint.h"
#include "models/weight_types.h"
#include "nn/step.h"
#include "runtime/runtime.h"

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
// What is read and stored in another format than `types` want.
std::vector<EncodedTensor> encoded_tensors(const Checkpoint& checkpoint, const WeightTypes& types);

inline constexpr uint64_t kDefaultContext = 4096;  // of a session, unless the model's is shorter or the caller says

struct PlanOptions {
  WeightTypes types;
  bool map = true;      // weights that are not encoded stay in the mapped files
  bool packed = false;  // encoded ones come to lie in a mapped file too
  nn::Mode mode = nn::Mode::kFast;
  uint64_t context = 0;  // tokens; 0: a session's default
  uint64_t prefix = 0;   // bytes asked for to keep pages of ended sessions
};

// What a model and one session take. Sums that do not fit 64 bits are the largest number that does.
struct MemoryPlan {
  uint64_t mapped = 0;    // weights in mapped files: of them the system keeps in memory what there is room for
  uint64_t resident = 0;  // weights that are read, encoded or made while opening
  uint64_t context = 0;   // tokens that the KV cache holds
  uint64_t kv = 0;        // of them all, in the cache's default type and whole pages; taken as they are needed
  uint64_t scratch = 0;   // of a session that takes prompts of that length: an estimate from above

  uint64_t prefix = 0;  // pages of ended sessions that are kept, where a size was asked for

  uint64_t must_fit() const;  // without what is mapped
  uint64_t all() const;
  std::string text() const;  // for messages: all of the numbers
};
MemoryPlan plan_memory(const Checkpoint& checkpoint, const PlanOptions& options, const Runtime& runtime);
// What a scheduler takes whose passes are of so many sessions, an estimate from above; their own is besides.
uint64_t scheduler_scratch_bytes(const Checkpoint& checkpoint, uint64_t max_batch, const Runtime& runtime);

}  // namespace kette
