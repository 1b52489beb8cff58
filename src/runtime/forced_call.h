// A call that a model is made to write: its dialect's frame around a tool's name and arguments -> a grammar.
#pragma once

#include <string_view>

#include "chat/tool_dialect.h"
#include "sample/grammar.h"

namespace kette {

// tools_json: the chat's tools, as in OpenAI's API. name: the tool to be called; empty: any of them. Arguments are as a
// tool's `parameters` say, a JSON schema, to which {"type": "object"} is added where it does not say of what type they
// are; without, any object. kBudget: all tools together take more than one grammar may.
Result<Grammar::Pointer> forced_call(const ToolDialect& dialect, std::string_view tools_json, std::string_view name);

}  // namespace kette
