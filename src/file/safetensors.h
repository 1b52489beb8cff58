// Safetensors: bytes -> a checked tensor table. As strict as the reference reader, and duplicate keys are refused.
// Format: 8 bytes, the header's length; the header, a JSON object; the tensors' data, without holes or overlap.
// https://github.com/huggingface/safetensors
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "file/gguf.h"
#include "file/source.h"

namespace kette {

// A dtype of the format, and the element type it is; the rows come from quant/formats.inc.
struct SafetensorsType {
  std::string_view dtype;  // "BF16"
  StoredType type;
};

struct SafetensorsTensor {
  std::string name;
  const StoredType* type;       // of the list given to read, or one for a dtype that is not in it
  std::vector<uint64_t> shape;  // outermost first; empty: one number
  uint64_t bytes;
  uint64_t offset;  // from the start of the file
};

class Safetensors {
 public:
  static constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's

  // `types` must outlive the tensors. The source is read during this call only.
  static Result<Safetensors> read(const Source& source, std::span<const SafetensorsType> types);

  std::vector<SafetensorsTensor> tensors;       // in file order
  std::map<std::string, std::string> metadata;  // of "__metadata__"
};

}  // namespace kette
