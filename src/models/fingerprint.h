// What tells one model's weights from another's without reading them all: a hash of tensors' names, types, shapes and
// sizes, and of samples of their bytes.
#pragma once

#include <span>

#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "file/checkpoint.h"
#include "models/weight_types.h"

namespace kette {

class TensorSampler {
 public:
  // For so many tensors: the more there are, the fewer samples of each, but always some from its beginning to its end.
  TensorSampler(const Checkpoint& checkpoint, size_t tensors, Executor& executor);

  // Of each tensor one hash, of its shape, samples and scales and of the format it is used in; added in their order.
  Status add(std::span<const EncodedTensor> tensors, Hash128& key);

 private:
  Status hash(const EncodedTensor& t, std::byte* buffer, Hash128& out) const;

  const Checkpoint& checkpoint_;
  uint64_t samples_;
  Executor& executor_;
  AlignedBuffer<std::byte> buffers_;
};

// Of the model that these tensors (format nullptr: as stored) and the checkpoint's settings make.
Result<Hash128> fingerprint(const Checkpoint& checkpoint, std::span<const EncodedTensor> tensors, Executor& executor);

}  // namespace kette
