// anyOf and oneOf.
#include <algorithm>

#include "sample/json_schema_compiler.h"

namespace kette {

Result<Expression> SchemaCompiler::alternatives(const Json& s, const std::string& path) {
  const bool any = s.contains("anyOf");
  const char* key = any ? "anyOf" : "oneOf";
  if (any && s.contains("oneOf")) return unsupported(path, "oneOf beside anyOf");
  const Json& list = s[key];
  if (!list.is_array() || list.empty()) return invalid(path, fmt::format("{} is not a list of schemas", key));
  Json rest = Json::object();
  for (const auto& [name, value] : s.items())
    if (name != key && !is_annotation(name)) rest[name] = value;
  std::vector<const Json*> flat;  // with what stands beside
  std::vector<Expression> ways;
  for (size_t i = 0; i < list.size(); ++i) {
    const Json& alternative = list[i];
    const std::string where = fmt::format("{}[{}]", below(path, key), i);
    if (rest.empty()) {
      ways.push_back(call(alternative, where));
      flat.push_back(&alternative);
      continue;
    }
    Json together = rest;
    together["allOf"] = Json::array({alternative});
    KETTE_ASSIGN(const Json* merged, merger_.keep(std::move(together), shown(where)));
    KETTE_ASSIGN(merged, merger_.flatten(*merged, where));
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

std::optional<std::span<const SchemaJson>> SchemaCompiler::listed(const Json& schema) {
  if (!schema.is_object()) return std::nullopt;
  if (const Json* constant = find(schema, "const")) return std::span(constant, 1);
  if (const Json* list = find(schema, "enum"); list != nullptr && list->is_array())
    return std::span(list->get_ref<const Json::array_t&>());
  return std::nullopt;
}
Result<bool> SchemaCompiler::share(std::span<const Json> a, std::span<const Json> b, const std::string& path) {
  for (const Json& x : a)
    for (const Json& y : b) {
      KETTE_ASSIGN(const bool same, merger_.equal(x, y, shown(path)));
      if (same) return true;
    }
  return false;
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
  if (listed_a && listed_b) {
    KETTE_ASSIGN(const bool common, share(*listed_a, *listed_b, path));
    return !common;
  }
  const std::vector<std::string> only_object{"object"};
  if (x != only_object || y != only_object) return false;
  for (const auto& [one, other] : {std::pair<const Json&, const Json&>(a, b), {b, a}}) {
    const Json* properties = find(one, "properties");
    if (properties == nullptr) continue;
    const Json* others = find(other, "properties");
    KETTE_TRY(merger_.spend(properties->size(), shown(path)));
    for (const auto& [name, value] : properties->items()) {
      if (!required_by(one).contains(name)) continue;
      if (others != nullptr) KETTE_TRY(merger_.spend(others->size(), shown(path)));
      const bool other_has = others != nullptr && others->contains(name);
      const Json* more = find(other, "additionalProperties");
      if (!other_has && more != nullptr && *more == false && !other.contains("patternProperties")) return true;
      if (!other_has || !required_by(other).contains(name)) continue;
      KETTE_ASSIGN(const Json* p, seen_through(value, path));
      KETTE_ASSIGN(const Json* q, seen_through((*others)[name], path));
      const auto in_p = listed(*p), in_q = listed(*q);
      if (!in_p || !in_q) continue;
      KETTE_ASSIGN(const bool common, share(*in_p, *in_q, path));
      if (!common) return true;
    }
  }
  return false;
}

const std::set<std::string_view>& SchemaCompiler::required_by(const Json& schema) {
  const Json* list = find(schema, "required");
  const auto [it, is_new] = required_.try_emplace(list);
  if (is_new && list != nullptr && list->is_array())
    for (const Json& name : *list)
      if (name.is_string()) it->second.insert(name.get_ref<const std::string&>());
  return it->second;
}

}  // namespace kette
