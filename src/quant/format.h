// A weight format: how a block of numbers lies in memory, and the plain conversion to float and back.
// One file and one row in formats.inc each; that alone runs every model (kernels decode, then multiply).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kette {

inline constexpr uint32_t kNoGgmlFormat = UINT32_MAX;

struct Format {
  std::string_view name;  // "q4_k"
  uint32_t ggml_type;     // id in GGUF files, or kNoGgmlFormat
  uint32_t block_size;    // numbers in a block; 1 for plain floats
  uint32_t block_bytes;
  // blocks [n / block_size][block_bytes] -> out [n]; n is a multiple of block_size. Any bytes are safe.
  void (*decode)(const std::byte* blocks, float* out, size_t n);
  // The inverse, rounding to nearest as the reference quantiser does; nullptr where Kette only reads the format.
  void (*encode)(const float* in, std::byte* blocks, size_t n);

  std::string_view safetensors = {};  // dtype in safetensors files: "BF16"; empty: not one of theirs
  bool has_tile_scales = false;       // numbers say little without the factors of tiles that lie beside them

  size_t row_bytes(size_t n) const { return n / block_size * block_bytes; }
};

// All rows of formats.inc, in its order. nullptr if there is none of that name or id.
std::span<const Format* const> formats();
const Format* find_format(std::string_view name);
const Format* find_format(uint32_t ggml_type);

}  // namespace kette
