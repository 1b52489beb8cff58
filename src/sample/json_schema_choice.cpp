// anyOf and oneOf.
#include <algorithm>

#include "sample/json_schema_compiler.h"

namespace kette {

Result<Expression> SchemaCompiler::alternatives(const Json& s, const std::string& path) {
  const bool any = s.contains("anyOf");
  const char* key = any ? "anyOf" : "oneOf";
  if (any && s.contains("oneOf")) return unsupported(path, "oneOf beside anyOf");
  if (!s[key].is_array() || s[key].empty()) return invalid(path, fmt::format("{} is not a list of schemas", key));
  Json rest = Json::object();
  for (const auto& [name, value] : s.items())
    if (name != key && !is_annotation(name)) rest[name] = value;
  std::vector<const Json*> flat;  // with what stands beside
  std::vector<Expression> ways;
  for (size_t i = 0; i < s[key].size(); ++i) {
    const Json& alternative = s[key][i];
    const std::string where = fmt::format("{}[{}]", below(path, key), i);
    if (rest.empty()) {
      ways.push_back(call(alternative, where));
      flat.push_back(&alternative);
      continue;
    }
    owned_.push_back(rest);
    owned_.back()["allOf"] = Json::array({alternative});
    KETTE_ASSIGN(const Json* merged, merger_.flatten(owned_.back(), where));
    ways.push_back(call(*merged, where));
    flat.push_back(merged);
  }
  if (!any) KETTE_TRY(check_apart(flat, path));
  return builder_.choice(std::move(ways));
}

// Texts of one alternative must not be texts of another.
Status SchemaCompiler::check_apart(std::vector<const Json*> alternatives, const std::string& path) {
  constexpr size_t kMost = 256;
  if (alternatives.size() > kMost)
    return error(Code::kBudget, "JSON schema: {}: oneOf has {} alternatives, expected at most {}", shown(path),
                 alternatives.size(), kMost);
  for (const Json*& a : alternatives) {
    KETTE_ASSIGN(a, seen_through(*a, path));
  }
  for (size_t i = 0; i < alternatives.size(); ++i)
    for (size_t j = i + 1; j < alternatives.size(); ++j) {
      KETTE_ASSIGN(const bool apart, are_apart(*alternatives[i], *alternatives[j], path));
      if (!apart)
        return unsupported(path,
                           fmt::format("oneOf whose alternatives {} and {} are not told apart by type, const, enum "
                                       "or a required property's const or enum",
                                       i, j));
    }
  return {};
}

// What a $ref stands for.
Result<const SchemaJson*> SchemaCompiler::seen_through(const Json& schema, const std::string& path) {
  KETTE_ASSIGN(const Json* flat, merger_.flatten(schema, shown(path)));
  for (int i = 0; i < 64 && flat->is_object() && flat->contains("$ref") && (*flat)["$ref"].is_string(); ++i) {
    KETTE_ASSIGN(flat, merger_.find((*flat)["$ref"].get<std::string>(), shown(path)));
    KETTE_ASSIGN(flat, merger_.flatten(*flat, shown(path)));
  }
  return flat;
}

std::optional<std::vector<SchemaJson>> SchemaCompiler::listed(const Json& schema) {
  if (!schema.is_object()) return std::nullopt;
  if (const Json* constant = find(schema, "const")) return std::vector<Json>{*constant};
  if (const Json* list = find(schema, "enum"); list != nullptr && list->is_array())
    return std::vector<Json>(list->begin(), list->end());
  return std::nullopt;
}
bool SchemaCompiler::share(const std::vector<Json>& a, const std::vector<Json>& b) {
  return std::ranges::any_of(a, [&](const Json& x) { return std::ranges::find(b, x) != b.end(); });
}

Result<bool> SchemaCompiler::are_apart(const Json& a, const Json& b, const std::string& path) {
  if (a == false || b == false) return true;
  if (!a.is_object() || !b.is_object()) return false;
  KETTE_ASSIGN(const std::vector<std::string> x, types_of(a, shown(path)));
  KETTE_ASSIGN(const std::vector<std::string> y, types_of(b, shown(path)));
  const bool share_type = std::ranges::any_of(x, [&](const std::string& t) {
    return std::ranges::any_of(y, [&](const std::string& u) {
      return t == u || (t == "integer" && u == "number") || (t == "number" && u == "integer");
    });
  });
  if (!share_type) return true;
  const auto listed_a = listed(a), listed_b = listed(b);
  if (listed_a && listed_b) return !share(*listed_a, *listed_b);
  const std::vector<std::string> only_object{"object"};
  if (x != only_object || y != only_object) return false;
  for (const auto& [one, other] : {std::pair<const Json&, const Json&>(a, b), {b, a}}) {
    const Json* properties = find(one, "properties");
    if (properties == nullptr) continue;
    for (const auto& [name, value] : properties->items()) {
      if (!requires_name(one, name)) continue;
      const Json* others = find(other, "properties");
      const bool other_has = others != nullptr && others->contains(name);
      const Json* more = find(other, "additionalProperties");
      if (!other_has && more != nullptr && *more == false && !other.contains("patternProperties")) return true;
      if (!other_has || !requires_name(other, name)) continue;
      KETTE_ASSIGN(const Json* p, seen_through(value, path));
      KETTE_ASSIGN(const Json* q, seen_through((*others)[name], path));
      const auto in_p = listed(*p), in_q = listed(*q);
      if (in_p && in_q && !share(*in_p, *in_q)) return true;
    }
  }
  return false;
}

bool SchemaCompiler::requires_name(const Json& schema, const std::string& name) {
  const Json* required = find(schema, "required");
  return required != nullptr && required->is_array() &&
         std::find(required->begin(), required->end(), Json(name)) != required->end();
}

}  // namespace kette
