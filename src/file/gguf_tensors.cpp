#include "file/gguf_tensors.h"

#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "file/gguf_metadata.h"
#include "file/printable.h"

namespace kette {
namespace {

// A name's length, one letter, the number of dimensions, one of them, type and offset.
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

std::string label(const GgufTensor& t) { return fmt::format("tensor {}", printable(t.name, 96)); }

Status read_shape(Cursor& cursor, const GgufLimits& limits, std::vector<uint64_t>& shape) {
  uint32_t dimensions = 0;
  KETTE_TRY(cursor.number(dimensions));
  if (dimensions == 0 || dimensions > limits.max_dimensions) {
    return error(Code::kCorrupt, "{} dimensions, expected 1 to {}", dimensions, limits.max_dimensions);
  }
  KETTE_TRY(cursor.need(dimensions, sizeof(uint64_t)));
  shape.resize(dimensions);
  for (size_t i = 0; i < dimensions; ++i) {
    KETTE_TRY(cursor.number(shape[dimensions - 1 - i]));  // the file has the innermost first
    if (shape[dimensions - 1 - i] == 0) return error(Code::kCorrupt, "dimension {} is 0, expected 1 or more", i);
  }
  return {};
}

Result<uint64_t> data_bytes(const std::vector<uint64_t>& shape, const StoredType& type) {
  if (shape.back() % type.block_size != 0) {
    return error(Code::kCorrupt, "innermost dimension {}, expected a multiple of {} for {}", shape.back(),
                 type.block_size, type.name);
  }
  std::optional<uint64_t> elements = 1;
  for (const uint64_t n : shape) {
    if (elements) elements = checked_mul(*elements, n);
  }
  std::optional<uint64_t> bytes;
  if (elements) bytes = checked_mul(*elements / type.block_size, type.block_bytes);
  if (!bytes || *elements > INT64_MAX || *bytes > INT64_MAX) {
    return error(Code::kCorrupt, "shape [{}] has more than 2^63 elements or bytes", fmt::join(shape, ", "));
  }
  return *bytes;
}

Status read_tensor(Cursor& cursor, std::span<const StoredType> types, const GgufLimits& limits, GgufTensor& t) {
  KETTE_TRY(read_shape(cursor, limits, t.shape));
  uint32_t id = 0;
  KETTE_TRY(cursor.number(id));
  KETTE_TRY(cursor.number(t.offset));
  const auto type = std::find_if(types.begin(), types.end(), [&](const StoredType& s) { return s.ggml_type == id; });
  if (type == types.end()) return error(Code::kUnsupported, "stored as ggml type {}, which is not supported", id);
  t.type = &*type;
  KETTE_ASSIGN(t.bytes, data_bytes(t.shape, *type));
  return {};
}

}  // namespace

Status read_gguf_tensors(Cursor& cursor, uint64_t count, uint32_t shard, std::span<const StoredType> types,
                         const GgufLimits& limits, std::vector<GgufTensor>& out) {
  if (count > limits.max_tensors || out.size() > limits.max_tensors - count) {
    return error(Code::kBudget, "{} tensors, the limit is {}", count, limits.max_tensors);
  }
  KETTE_TRY(cursor.need(count, kMinTensorBytes));
  for (uint64_t i = 0; i < count; ++i) {
    // A quarter more each time: the file may promise far more tensors than it has, and this table is the largest.
    if (out.size() == out.capacity()) out.reserve(out.size() + out.size() / 4 + 64);
    GgufTensor& t = out.emplace_back(GgufTensor{{}, nullptr, {}, 0, shard, 0});
    if (Status s = read_gguf_name(cursor, limits.max_name_bytes, t.name); !s.ok()) {
      return std::move(s).within(fmt::format("tensor {}", i));
    }
    if (Status s = read_tensor(cursor, types, limits, t); !s.ok()) return std::move(s).within(label(t));
  }
  return {};
}

Status place_gguf_tensors(std::span<GgufTensor> tensors, uint64_t data_begin, uint64_t file_size, uint64_t alignment) {
  for (GgufTensor& t : tensors) {
    if (t.offset % alignment != 0) {
      return error(Code::kCorrupt, "offset {}, expected a multiple of {}", t.offset, alignment).within(label(t));
    }
    const auto begin = checked_add(data_begin, t.offset);
    const auto end = begin ? checked_add(*begin, t.bytes) : std::nullopt;
    if (!end || *end > file_size) {
      return error(Code::kCorrupt, "{} bytes at {} + {}, the file has {}", t.bytes, data_begin, t.offset, file_size)
          .within(label(t));
    }
    t.offset = *begin;
  }
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tensors[a].offset < tensors[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const GgufTensor &a = tensors[order[i - 1]], &b = tensors[order[i]];
    if (a.offset + a.bytes > b.offset) {
      return error(Code::kCorrupt, "its data overlaps that of {}", label(b)).within(label(a));
    }
  }
  return {};
}

}  // namespace kette
