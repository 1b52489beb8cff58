#include "file/gguf_header.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "base/checked.h"
#include "file/gguf.h"
#include "file/printable.h"

namespace kette {
namespace {

template <class T>
void put(std::string& out, T value) {
  static_assert(std::is_integral_v<T> && std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out += text;
}

// What read_gguf_name takes.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= GgufLimits().max_name_bytes &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

void GgufHeader::set(std::string_view key, uint32_t value) {
  put_text(entries_, key);
  put(entries_, static_cast<uint32_t>(GgufType::kUint32));
  put(entries_, value);
  ++entry_count_;
}

void GgufHeader::set(std::string_view key, std::string_view value) {
  put_text(entries_, key);
  put(entries_, static_cast<uint32_t>(GgufType::kString));
  put_text(entries_, value);
  ++entry_count_;
}

Status GgufHeader::add(std::string_view name, std::span<const uint64_t> shape, uint32_t ggml_type, uint64_t bytes) {
  if (!is_name(name)) return error(Code::kUnsupported, "tensor {}: no name for a GGUF file", printable(name, 96));
  if (shape.empty() || shape.size() > GgufLimits().max_dimensions)
    return error(Code::kUnsupported, "tensor {}: {} dimensions, expected 1 to {}", name, shape.size(),
                 GgufLimits().max_dimensions);
  const auto offset = checked_align_up(data_bytes_, kAlignment);
  const auto end = offset ? checked_add(*offset, bytes) : std::nullopt;
  if (!end || *end > INT64_MAX / 2) return error(Code::kUnsupported, "tensor {}: the file were too large", name);
  put_text(tensors_, name);
  put(tensors_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i > 0; --i) put(tensors_, shape[i - 1]);  // the file has the innermost first
  put(tensors_, ggml_type);
  put(tensors_, *offset);
  offsets_.push_back(*offset);
  data_bytes_ = *end;
  return {};
}

std::string GgufHeader::finish() const {
  std::string out = "GGUF";
  put<uint32_t>(out, 3);
  put<uint64_t>(out, offsets_.size());
  put<uint64_t>(out, entry_count_);
  out += entries_;
  out += tensors_;
  out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment);
  return out;
}

}  // namespace kette
