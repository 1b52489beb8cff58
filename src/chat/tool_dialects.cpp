// The list of ways of writing tool calls (tool_dialects.inc).
#include <array>

#include "chat/tool_dialect.h"

namespace kette {
namespace {

constexpr std::array kDialects{
#define KETTE_TOOL_DIALECT(name) &tool_dialect_##name,
#include "chat/tool_dialects.inc"
#undef KETTE_TOOL_DIALECT
};

}  // namespace

std::span<const ToolDialect* const> tool_dialects() { return kDialects; }

}  // namespace kette
