#include "sample/json_schema.h"

#include <algorithm>

#include "base/json_shape.h"
#include "sample/grammar_limits.h"
#include "sample/json_schema_compiler.h"

namespace kette {
namespace {

using Json = SchemaJson;

// The keywords that are understood, and the type that each implies where the schema names none.
constexpr struct {
  std::string_view keyword, type;
} kKeywords[] = {
    {"$ref", ""},
    {"allOf", ""},
    {"anyOf", ""},
    {"oneOf", ""},
    {"enum", ""},
    {"const", ""},
    {"type", ""},
    {"nullable", ""},
    {"properties", "object"},
    {"patternProperties", "object"},
    {"propertyNames", "object"},
    {"minProperties", "object"},
    {"maxProperties", "object"},
    {"required", "object"},
    {"additionalProperties", "object"},
    {"unevaluatedProperties", "object"},
    {"items", "array"},
    {"prefixItems", "array"},
    {"additionalItems", "array"},
    {"minItems", "array"},
    {"maxItems", "array"},
    {"uniqueItems", "array"},
    {"minLength", "string"},
    {"maxLength", "string"},
    {"pattern", "string"},
    {"format", "string"},
    {"minimum", "number"},
    {"maximum", "number"},
    {"exclusiveMinimum", "number"},
    {"exclusiveMaximum", "number"},
    {"multipleOf", "number"},
};

bool is_of(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

}  // namespace

SchemaCompiler::SchemaCompiler(SchemaJson root)
    : scratch_(std::make_shared<AutomatonCost>()), root_(std::move(root)), merger_(root_), text_(builder_) {
  scratch_->times = grammar_limits::kScratch;
}

Result<std::unique_ptr<const GrammarTables>> SchemaCompiler::compile() {
  const uint32_t root = rule_of(root_, "");
  while (!todo_.empty()) {
    const Todo next = std::move(todo_.back());
    todo_.pop_back();
    KETTE_ASSIGN(const Expression expression, schema(*next.schema, next.path));
    builder_.define(next.rule, expression);
  }
  auto tables = builder_.compile(root);
  if (tables.ok()) return tables;
  return std::move(tables).status().within("JSON schema");
}

std::string SchemaCompiler::text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string SchemaCompiler::below(const std::string& path, std::string_view name) {
  // A path that has grown long keeps its end, which tells more.
  std::string out = path.empty() ? std::string(name) : fmt::format("{}.{:.64}", path, name);
  return out.size() <= 200 ? out : "..." + out.substr(out.size() - 190);
}
Status SchemaCompiler::invalid(const std::string& path, std::string_view what) {
  return error(Code::kInvalidArgument, "JSON schema: {}: {}", shown(path), what);
}
Status SchemaCompiler::unsupported(const std::string& path, std::string_view what) {
  return error(Code::kUnsupported, "JSON schema: {}: {} is not supported", shown(path), what);
}

uint32_t SchemaCompiler::rule_of(const Json& schema, const std::string& path) {
  const auto [it, is_new] = rules_.try_emplace(&schema);
  if (is_new) {
    it->second = builder_.declare(shown(path));
    todo_.push_back({&schema, path, it->second});
  }
  return it->second;
}
Expression SchemaCompiler::call(const Json& schema, const std::string& path) {
  return builder_.call(rule_of(schema, path));
}

const SchemaJson* SchemaCompiler::find(const Json& schema, const char* key) {
  const auto it = schema.find(key);
  return it == schema.end() ? nullptr : &*it;
}

Result<Expression> SchemaCompiler::schema(const Json& given, const std::string& path) {
  if (given.is_boolean()) return given == true ? text_.value() : builder_.nothing();
  if (!given.is_object()) return invalid(path, "a schema is an object, true or false");
  KETTE_ASSIGN(const Json* flat, merger_.flatten(given, shown(path)));
  if (flat->is_boolean()) return *flat == true ? text_.value() : builder_.nothing();
  const Json& s = *flat;
  for (const auto& [key, value] : s.items())
    if (!is_annotation(key) && std::ranges::find(kKeywords, std::string_view(key),
                                                 [](const auto& k) { return k.keyword; }) == std::end(kKeywords))
      return unsupported(path, fmt::format("keyword \"{:.64}\"", key));
  if (const Json* ref = find(s, "$ref")) {
    if (!ref->is_string()) return invalid(path, "$ref is not a string");
    KETTE_ASSIGN(const Json* target, merger_.find(ref->get<std::string>(), shown(path)));
    return call(*target, ref->get<std::string>());
  }
  if (s.contains("anyOf") || s.contains("oneOf")) return alternatives(s, path);
  KETTE_ASSIGN(std::vector<std::string> types, types_of(s, shown(path)));
  if (s.contains("enum") || s.contains("const")) return values(s, types, path);
  if (!s.contains("type")) imply_types(s, types);
  std::vector<Expression> ways;
  for (const std::string& type : types) {
    KETTE_ASSIGN(const Expression way, of_type(s, type, path));
    ways.push_back(way);
  }
  return builder_.choice(std::move(ways));
}

void SchemaCompiler::imply_types(const Json& s, std::vector<std::string>& types) {
  std::vector<std::string> implied;
  for (const auto& [keyword, type] : kKeywords)
    if (!type.empty() && s.contains(std::string(keyword)) && std::ranges::find(implied, type) == implied.end())
      implied.emplace_back(type);
  if (implied.empty()) return;
  if (const Json* nullable = find(s, "nullable"); nullable != nullptr && *nullable == true)
    implied.emplace_back("null");
  types = std::move(implied);
}

Result<Expression> SchemaCompiler::of_type(const Json& s, const std::string& type, const std::string& path) {
  if (type == "object") return object(s, path);
  if (type == "array") return array(s, path);
  if (type == "string") return string(s, path);
  if (type == "boolean") return text_.boolean();
  if (type == "null") return text_.null();
  return number(s, type == "integer", path);
}

// --- enum, const

Result<Expression> SchemaCompiler::values(const Json& s, const std::vector<std::string>& types,
                                          const std::string& path) {
  for (const auto& [key, value] : s.items())
    if (!is_annotation(key) && key != "enum" && key != "const" && key != "type" && key != "nullable")
      return unsupported(path, fmt::format("keyword \"{:.64}\" beside enum or const", key));
  const Json* list = find(s, "enum");
  if (list != nullptr && (!list->is_array() || list->empty())) return invalid(path, "enum is not a list of values");
  const Json* constant = find(s, "const");
  std::vector<Expression> ways;
  const auto add = [&](const Json& value) {
    if (std::ranges::any_of(types, [&](const std::string& type) { return is_of(value, type); }))
      ways.push_back(literal(value));
  };
  if (list == nullptr) {
    add(*constant);
  } else {
    for (const Json& value : *list)
      if (constant == nullptr || value == *constant) add(value);
  }
  return builder_.choice(std::move(ways));
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the source, which is limited
Expression SchemaCompiler::literal(const Json& value) {
  if (value.is_string())
    return builder_.sequence(
        {builder_.bytes("\""), json_text(builder_, value.get_ref<const std::string&>()), builder_.bytes("\"")});
  if (!value.is_structured()) return builder_.bytes(text_of(value));
  std::vector<Expression> members;
  for (const auto& [key, member] : value.items()) {
    if (!members.empty()) members.push_back(text_.comma());
    if (value.is_object()) {
      members.push_back(literal(Json(key)));
      members.push_back(text_.colon());
    }
    members.push_back(literal(member));
  }
  const bool is_empty = members.empty();
  const Expression inside = builder_.sequence(std::move(members));
  const std::string_view open = value.is_object() ? "{" : "[", close = value.is_object() ? "}" : "]";
  if (is_empty) return builder_.sequence({builder_.bytes(open), text_.space(), builder_.bytes(close)});
  return text_.enclosed(open, inside, false, close);
}

Result<std::unique_ptr<const GrammarTables>> compile_json_schema(std::string_view json) {
  KETTE_TRY(check_json_shape(json, "JSON schema", {grammar_limits::kNesting, grammar_limits::kKeys, Code::kBudget}));
  Json root = Json::parse(json, nullptr, false);
  if (root.is_discarded()) return error(Code::kInvalidArgument, "JSON schema: not valid JSON");
  return SchemaCompiler(std::move(root)).compile();
}

}  // namespace kette
