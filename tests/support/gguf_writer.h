// Metadata and tensors -> the bytes of a GGUF file, valid unless a test asks for something else.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "file/gguf.h"

namespace kette::test {

template <class T>
std::string bytes_of(T value) {
  static_assert(std::is_arithmetic_v<T>);
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

inline std::string gguf_string(std::string_view text) { return bytes_of<uint64_t>(text.size()) + std::string(text); }

template <class T>
constexpr GgufType gguf_type() {
  if constexpr (std::is_same_v<T, bool>)
    return GgufType::kBool;
  else if constexpr (std::is_same_v<T, float>)
    return GgufType::kFloat32;
  else if constexpr (std::is_same_v<T, double>)
    return GgufType::kFloat64;
  else if constexpr (sizeof(T) == 1)
    return std::is_signed_v<T> ? GgufType::kInt8 : GgufType::kUint8;
  else if constexpr (sizeof(T) == 2)
    return std::is_signed_v<T> ? GgufType::kInt16 : GgufType::kUint16;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? GgufType::kInt32 : GgufType::kUint32;
  else
    return std::is_signed_v<T> ? GgufType::kInt64 : GgufType::kUint64;
}

class GgufWriter {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;                        // used for the layout; not written as a key by itself
  uint64_t extra_entries = 0, extra_tensors = 0;  // added to the counts in the header

  // `value` as it lies in the file, behind the type.
  GgufWriter& raw(std::string_view key, uint32_t type, std::string_view value) {
    entries_ += gguf_string(key) + bytes_of(type) + std::string(value);
    ++entry_count_;
    return *this;
  }
  template <class T>
  GgufWriter& set(std::string_view key, T value) {
    if constexpr (std::is_convertible_v<T, std::string_view>) {
      return raw(key, static_cast<uint32_t>(GgufType::kString), gguf_string(value));
    } else {
      return raw(key, static_cast<uint32_t>(gguf_type<T>()), bytes_of(value));
    }
  }
  template <class T>
  GgufWriter& array(std::string_view key, const std::vector<T>& values) {
    std::string body;
    uint32_t type = 0;
    if constexpr (std::is_same_v<T, std::string>) {
      type = static_cast<uint32_t>(GgufType::kString);
      for (const auto& v : values) body += gguf_string(v);
    } else {
      type = static_cast<uint32_t>(gguf_type<T>());
      for (const T v : values) body += bytes_of<T>(v);
    }
    return raw(key, 9, bytes_of(type) + bytes_of<uint64_t>(values.size()) + body);
  }

  // shape: outermost first. The data follows that of the tensor before, aligned.
  GgufWriter& tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type, std::string_view data) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    tensor_at(name, shape, type, data_.size());
    data_ += data;
    return *this;
  }
  // A table entry only.
  GgufWriter& tensor_at(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type, uint64_t offset) {
    tensors_ += gguf_string(name) + bytes_of(static_cast<uint32_t>(shape.size()));
    for (auto it = shape.rbegin(); it != shape.rend(); ++it) tensors_ += bytes_of(*it);
    tensors_ += bytes_of(type) + bytes_of(offset);
    ++tensor_count_;
    return *this;
  }

  size_t header_size() const { return 24 + entries_.size() + tensors_.size(); }
  std::string finish() const {
    std::string out = "GGUF" + bytes_of(version) + bytes_of(tensor_count_ + extra_tensors) +
                      bytes_of(entry_count_ + extra_entries) + entries_ + tensors_;
    if (!data_.empty()) out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data_;
  }

 private:
  std::string entries_, tensors_, data_;
  uint64_t entry_count_ = 0, tensor_count_ = 0;
};

// The element types the file tests use; ids and sizes as in ggml.
inline constexpr StoredType kTestTypes[] = {
    {"f32", 0, 1, 4},       {"f16", 1, 1, 2},         {"q4_0", 2, 32, 18},    {"q4_1", 3, 32, 20},
    {"q5_0", 6, 32, 22},    {"q5_1", 7, 32, 24},      {"q8_0", 8, 32, 34},    {"q2_k", 10, 256, 84},
    {"q3_k", 11, 256, 110}, {"q4_k", 12, 256, 144},   {"q5_k", 13, 256, 176}, {"q6_k", 14, 256, 210},
    {"iq4_nl", 20, 32, 18}, {"iq4_xs", 23, 256, 136}, {"bf16", 30, 1, 2},
};

inline Result<Gguf> open_gguf(std::string_view file, const GgufLimits& limits = {}, const OpenSibling& siblings = {},
                              std::string name = "test.gguf") {
  return Gguf::open(open_memory(std::as_bytes(std::span(file.data(), file.size())), std::move(name)), siblings,
                    kTestTypes, limits);
}

}  // namespace kette::test
