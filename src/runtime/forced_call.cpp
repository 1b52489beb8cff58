#include "runtime/forced_call.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sample/grammar_limits.h"
#include "sample/grammar_tables.h"

namespace kette {
namespace {

using Json = nlohmann::ordered_json;

// Arguments are objects, also where a tool's `parameters` do not say so.
Json schema_of(const Json& function) {
  const auto parameters = function.find("parameters");
  if (parameters == function.end() || parameters->is_null() || *parameters == true) return Json{{"type", "object"}};
  Json schema = *parameters;
  if (!schema.is_object()) return schema;
  for (const char* key : {"type", "$ref", "anyOf", "oneOf", "allOf", "const", "enum"})
    if (schema.contains(key)) return schema;
  schema["type"] = "object";
  return schema;
}

}  // namespace

Result<Grammar::Pointer> forced_call(const ToolDialect& dialect, std::string_view tools_json, std::string_view name) {
  const Json tools = Json::parse(tools_json, nullptr, false);
  if (!tools.is_array()) return error(Code::kInvalidArgument, "tools: expected a list");
  std::vector<Grammar::Pointer> calls;
  size_t states = 0, edges = 0;  // of all calls: each grammar alone may be as large as all may be together
  for (const Json& tool : tools) {
    const Json& function = tool.is_object() && tool.contains("function") ? tool["function"] : tool;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
      return error(Code::kInvalidArgument, "tools[{}]: expected a function with a \"name\"", &tool - &tools[0]);
    const auto own_name = function["name"].get<std::string>();
    if (!name.empty() && own_name != name) continue;
    auto arguments =
        Grammar::from_json_schema(schema_of(function).dump(-1, ' ', false, Json::error_handler_t::replace));
    if (!arguments.ok()) return std::move(arguments).status().within("tool " + own_name + ": parameters");
    states += (*arguments)->tables().states.size();
    edges += (*arguments)->tables().edges.size() + (*arguments)->tables().calls.size();
    if (states > grammar_limits::kStates || edges > grammar_limits::kEdges)
      return error(Code::kBudget,
                   "tools: the parameters of the first {} take {} states and {} edges, expected at most {} and {}",
                   calls.size() + 1, states, edges, grammar_limits::kStates, grammar_limits::kEdges);
    // A name stands inside a JSON string in some dialects: there it is spelled as one.
    std::string spelled = own_name;
    if (dialect.frame.before_name.ends_with('"')) {
      spelled = Json(own_name).dump(-1, ' ', false, Json::error_handler_t::replace);
      spelled = spelled.substr(1, spelled.size() - 2);
    }
    KETTE_ASSIGN(Grammar::Pointer before, Grammar::literal(std::string(dialect.frame.before_name) + spelled +
                                                           std::string(dialect.frame.before_arguments)));
    KETTE_ASSIGN(Grammar::Pointer after, Grammar::literal(dialect.frame.after_arguments));
    const Grammar::Pointer parts[] = {std::move(before), std::move(*arguments), std::move(after)};
    KETTE_ASSIGN(calls.emplace_back(), Grammar::sequence(parts));
  }
  if (calls.empty())
    return error(Code::kInvalidArgument, "tool_name: {:.64}, expected the name of one of the {} tools", name,
                 tools.size());
  KETTE_ASSIGN(Grammar::Pointer begin, Grammar::literal(dialect.frame.calls_begin));
  KETTE_ASSIGN(Grammar::Pointer call, Grammar::choice(calls));
  KETTE_ASSIGN(Grammar::Pointer end, Grammar::literal(dialect.frame.calls_end));
  const Grammar::Pointer parts[] = {std::move(begin), std::move(call), std::move(end)};
  return Grammar::sequence(parts);
}

}  // namespace kette
