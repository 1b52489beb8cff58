// The tensor table of a GGUF file: bytes -> tensors whose data is known to lie inside the file.
#pragma once

#include <span>
#include <vector>

#include "base/status.h"
#include "file/cursor.h"
#include "file/gguf.h"

namespace kette {

// Reads `count` tensors at the cursor and appends them, with the offset as stored: from the start of the file's data.
Status read_gguf_tensors(Cursor& cursor, uint64_t count, uint32_t shard, std::span<const StoredType> types,
                         const GgufLimits& limits, std::vector<GgufTensor>& out);

// Offsets from the start of the data -> from the start of the file, which has `file_size` bytes.
// Every tensor is aligned, inside the file and overlaps no other.
Status place_gguf_tensors(std::span<GgufTensor> tensors, uint64_t data_begin, uint64_t file_size, uint64_t alignment);

}  // namespace kette
