// The types of cached keys and values (kernels/kv_types.inc): how many bytes a row takes, and a row of floats to one and
// back. A row is whole blocks of the type's format, zeros behind its last number.
#pragma once

#include <optional>

#include "kernels/kernel_table.h"
#include "quant/format.h"

namespace kette::nn {

using kernels::KvType;

const Format& kv_format(KvType type);
// The type of that number, if there is one.
std::optional<KvType> kv_type_of(int64_t number);

inline size_t kv_row_bytes(KvType type, size_t n) {
  const Format& f = kv_format(type);
  return (n + f.block_size - 1) / f.block_size * f.block_bytes;
}

// n floats as a row of `type`.
void store_row(const kernels::VectorKernels& vector, KvType type, const float* x, size_t n, std::byte* to);
// Numbers [first, first + n) of a row.
void load_row(KvType type, const std::byte* row, size_t first, size_t n, float* to);

// Tells attention that rows are of `type`.
void set_type(kernels::AttendArgs& args, KvType type);

}  // namespace kette::nn
