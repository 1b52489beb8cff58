// GGUF v2/v3: bytes -> typed metadata and a checked tensor table. Knows nothing of architectures.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "file/source.h"

namespace kette {

// What the reader must know of a stored element type; the rows come from quant/formats.inc.
struct StoredType {
  std::string_view name;  // "q4_k"
  uint32_t ggml_type;     // id in GGUF files
  uint32_t block_size;    // elements in a block
  uint32_t block_bytes;   // bytes of a block
};

// Caps on what a file may ask for; a host may raise them.
struct GgufLimits {
  uint64_t max_metadata_entries = 65'536;
  uint64_t max_tensors = 1'048'576;
  uint64_t max_array_elements = 16'777'216;
  uint64_t max_metadata_bytes = 256ull << 20;
  uint32_t max_name_bytes = 255;
  uint32_t max_dimensions = 4;
  uint32_t max_splits = 1'024;
};

enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

struct GgufTensor {
  std::string name;             // as in the file
  const StoredType* type;       // row of the list given to open
  std::vector<uint64_t> shape;  // outermost first (GGUF stores innermost first); 1 to max_dimensions entries
  uint64_t bytes;               // exact size of the data
  uint32_t shard;               // which file of a split set
  uint64_t offset;              // from the start of that file
};

// An opened file or split set: metadata copied to the heap, tensor data left in the sources.
class Gguf {
 public:
  // `siblings` opens the other files of a split set (may be empty: then a split file is refused).
  // `types` must outlive the Gguf; no block_size or block_bytes in it is 0.
  static Result<Gguf> open(std::unique_ptr<Source> first, const OpenSibling& siblings,
                           std::span<const StoredType> types, const GgufLimits& limits = {});

  // Scalars; nullopt if the key is absent or of another kind. Integers of any width convert when they fit.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> real(std::string_view key) const;  // also from integers
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  // Arrays; nullopt if absent or of another element kind. Views live as long as this Gguf.
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<double>> reals(std::string_view key) const;
  bool has(std::string_view key) const;
  std::vector<std::string_view> keys() const;  // in file order

  std::span<const GgufTensor> tensors() const;
  const GgufTensor* find(std::string_view name) const;
  const Source& shard(uint32_t i) const;
  uint32_t shard_count() const;
  uint32_t version() const;

  Gguf(Gguf&&) noexcept;
  Gguf& operator=(Gguf&&) noexcept;
  ~Gguf();

 private:
  struct Impl;
  explicit Gguf(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kette
