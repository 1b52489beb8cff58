// The front of a GGUF v3 file that is to be written: metadata and the tensor table, behind which the tensors' data lies
// in the order of the table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kette {

class GgufHeader {
 public:
  static constexpr uint64_t kAlignment = 64;  // of each tensor's data

  GgufHeader() { set("general.alignment", static_cast<uint32_t>(kAlignment)); }

  void set(std::string_view key, uint32_t value);
  void set(std::string_view key, std::string_view value);
  // shape: outermost first. kUnsupported if the format cannot hold the name or the shape, or the file were too large.
  Status add(std::string_view name, std::span<const uint64_t> shape, uint32_t ggml_type, uint64_t bytes);

  // The bytes in front of the data.
  std::string finish() const;
  uint64_t data_offset(size_t tensor) const { return offsets_[tensor]; }  // from the start of the data
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  std::string entries_, tensors_;
  uint64_t entry_count_ = 0;
  std::vector<uint64_t> offsets_;
  uint64_t data_bytes_ = 0;
};

}  // namespace kette
