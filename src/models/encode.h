// A matrix in another format: read, decoded and encoded in pieces, the rows of a piece on all threads.
#pragma once

#include <functional>
#include <span>

#include "base/thread_pool.h"
#include "file/checkpoint.h"
#include "nn/linear.h"

namespace kette {

// Called after each piece, in order: where it lies in the encoded matrix, and its bytes. A Status that is not ok ends
// it.
using PieceDone = std::function<Status(uint64_t offset, std::span<const std::byte> piece)>;

// `stored`: what the tensor is, without its data. `out`: where the encoded matrix goes; nullptr: nowhere, the pieces'
// bytes are valid during the call only.
Status encode_matrix(const CheckpointTensor& tensor, const nn::Weight& stored, const Format& target, bool map,
                     Executor& executor, std::byte* out, const PieceDone& done);

}  // namespace kette
