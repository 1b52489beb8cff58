#include "runtime/forced_call.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kette {

Result<Grammar::Pointer> forced_call(const ToolDialect& dialect, std::string_view tools_json, std::string_view name) {
  using Json = nlohmann::ordered_json;
  const Json tools = Json::parse(tools_json, nullptr, false);
  if (!tools.is_array()) return error(Code::kInvalidArgument, "tools: expected a list");
  std::vector<Grammar::Pointer> calls;
  for (const Json& tool : tools) {
    const Json& function = tool.is_object() && tool.contains("function") ? tool["function"] : tool;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
      return error(Code::kInvalidArgument, "tools[{}]: expected a function with a \"name\"", &tool - &tools[0]);
    const auto own_name = function["name"].get<std::string>();
    if (!name.empty() && own_name != name) continue;
    const Json schema = function.contains("parameters") ? function["parameters"] : Json{{"type", "object"}};
    auto arguments = Grammar::from_json_schema(schema.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (!arguments.ok()) return std::move(arguments).status().within("tool " + own_name + ": parameters");
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
