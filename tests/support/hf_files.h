// Safetensors files and Hugging Face directories in memory, valid unless a test asks for something else.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "file/hf_directory.h"
#include "support/gguf_writer.h"

namespace kette::test {

class SafetensorsWriter {
 public:
  // `extra`: JSON in front of the entry's own fields.
  SafetensorsWriter& tensor(std::string_view name, std::string_view dtype, const std::vector<uint64_t>& shape,
                            std::string_view data, std::string_view extra = "") {
    std::string numbers;
    for (const uint64_t n : shape) numbers += (numbers.empty() ? "" : ",") + std::to_string(n);
    const size_t begin = data_.size();
    data_ += data;
    return entry(fmt::format("\"{}\":{{{}\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", name, extra,
                             dtype, numbers, begin, data_.size()));
  }
  // Header text as it is.
  SafetensorsWriter& entry(std::string_view json) {
    entries_ += (entries_.empty() ? "" : ",") + std::string(json);
    return *this;
  }
  SafetensorsWriter& data(std::string_view bytes) {
    data_ += bytes;
    return *this;
  }
  std::string finish() const { return with_header("{" + entries_ + "}", data_); }
  static std::string with_header(std::string_view header, std::string_view data = "") {
    return bytes_of<uint64_t>(header.size()) + std::string(header) + std::string(data);
  }

 private:
  std::string entries_, data_;
};

// Files by their names; `open` gives memory that lives as long as this.
class Directory {
 public:
  std::map<std::string, std::string> files;
  std::vector<std::string> opened;

  OpenSibling open() {
    return [this](const std::string& name) -> Result<std::unique_ptr<Source>> {
      opened.push_back(name);
      const auto it = files.find(name);
      if (it == files.end()) return error(Code::kNotFound, "{}: not there", name);
      return open_memory(std::as_bytes(std::span(it->second.data(), it->second.size())), name);
    };
  }
};

// As the file tests' kTestTypes, for safetensors.
inline constexpr SafetensorsType kTestDtypes[] = {{"F32", {"f32", 0, 1, 4}}, {"F16", {"f16", 1, 1, 2}}};

}  // namespace kette::test
