// The list of weight formats (formats.inc) and its look-ups.
#include <array>

#include "quant/block.h"

namespace kette {
namespace {

constexpr std::array kFormats{
#define KETTE_FORMAT(name) &format_##name,
#include "quant/formats.inc"
#undef KETTE_FORMAT
};

}  // namespace

std::span<const Format* const> formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  for (const Format* format : kFormats)
    if (format->name == name) return format;
  return nullptr;
}

const Format* find_format(uint32_t ggml_type) {
  for (const Format* format : kFormats)
    if (format->ggml_type == ggml_type && ggml_type != kNoGgmlFormat) return format;
  return nullptr;
}

}  // namespace kette
