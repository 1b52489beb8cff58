#include "sample/json_schema_merge.h"

#include <algorithm>
#include <map>
#include <set>

#include "sample/grammar_limits.h"

namespace kette {
namespace {

constexpr size_t kReferences = 64;  // from one to the next

constexpr std::string_view kAnnotations[] = {
    "title",         "description",         "default",          "examples",     "example",     "deprecated",
    "readOnly",      "writeOnly",           "$schema",          "$id",          "id",          "$comment",
    "$anchor",       "contentEncoding",     "contentMediaType", "$defs",        "definitions", "$vocabulary",
    "contentSchema", "markdownDescription", "enumDescriptions", "externalDocs", "xml",
};
constexpr std::string_view kTypes[] = {"object", "array", "string", "number", "integer", "boolean", "null"};

Status disagree(const std::string& path, const std::string& key) {
  return error(Code::kUnsupported,
               "JSON schema: {}: keyword \"{:.64}\" in two schemas that must both hold is not supported", path, key);
}

struct Size {
  size_t members = 0, bytes = 0;  // bytes: of keys and strings
};

// NOLINTNEXTLINE(misc-no-recursion): as deep as the source, which is limited
void add_size(const SchemaJson& json, Size& size) {
  ++size.members;
  if (json.is_string()) size.bytes += json.get_ref<const std::string&>().size();
  if (json.is_object()) {
    for (const auto& [key, value] : json.get_ref<const SchemaJson::object_t&>())
      size.bytes += key.size(), add_size(value, size);
  } else if (json.is_array()) {
    for (const SchemaJson& value : json) add_size(value, size);
  }
}

Status check_object(const SchemaJson& json, std::string_view key, const std::string& path) {
  if (json.is_object()) return {};
  return error(Code::kInvalidArgument, "JSON schema: {}: {} is not an object", path, key);
}

// To `schema`, what must hold too. Made flat, however often this is done.
void add_schema(SchemaJson& schema, const SchemaJson& other) {
  if (schema.is_object() && schema.size() == 1 && schema.contains("allOf") && schema["allOf"].is_array())
    schema["allOf"].push_back(other);
  else
    schema = SchemaJson{{"allOf", SchemaJson::array({schema, other})}};
}

// The values that `schema` lists, by enum or const.
SchemaJson listed(const SchemaJson& schema) {
  if (schema.contains("const")) return SchemaJson::array({schema["const"]});
  return schema["enum"];
}

}  // namespace

bool is_annotation(std::string_view keyword) {
  return keyword.starts_with("x-") || std::ranges::find(kAnnotations, keyword) != std::end(kAnnotations);
}

Result<std::vector<std::string>> types_of(const SchemaJson& schema, const std::string& path) {
  std::vector<std::string> types;
  const auto add = [&](const SchemaJson& name) -> Status {
    if (!name.is_string() || std::ranges::find(kTypes, name.get_ref<const std::string&>()) == std::end(kTypes))
      return error(Code::kInvalidArgument, "JSON schema: {}: type {:.64} is none of JSON's", path,
                   name.is_string() ? name.get_ref<const std::string&>() : name.type_name());
    if (std::ranges::find(types, name.get_ref<const std::string&>()) == types.end())
      types.push_back(name.get<std::string>());
    return {};
  };
  const auto type = schema.find("type");
  if (type == schema.end()) {
    types.assign(std::begin(kTypes), std::end(kTypes));
  } else if (type->is_array()) {
    for (const SchemaJson& name : *type) KETTE_TRY(add(name));
  } else {
    KETTE_TRY(add(*type));
  }
  // An integer is a number.
  if (std::ranges::find(types, "number") != types.end()) std::erase(types, "integer");
  const auto nullable = schema.find("nullable");
  if (nullable != schema.end() && *nullable == true && std::ranges::find(types, "null") == types.end())
    types.emplace_back("null");
  return types;
}

Status SchemaMerger::spend(size_t comparisons, const std::string& path) {
  comparisons_ += comparisons;
  if (comparisons_ <= grammar_limits::kComparisons) return {};
  return error(Code::kBudget, "JSON schema: {}: it takes more than {} comparisons of keys and values", path,
               grammar_limits::kComparisons);
}

Result<bool> SchemaMerger::equal(const SchemaJson& a, const SchemaJson& b, const std::string& path) {
  KETTE_TRY(spend(1, path));
  if (a.type() != b.type() || a.size() != b.size()) return a == b;  // numbers may be equal; for others this is quick
  if (a.is_structured() || a.is_string()) {
    Size size;
    add_size(a, size);
    KETTE_TRY(spend(size.members + size.bytes / 64, path));
  }
  return a == b;
}

Result<const SchemaJson*> SchemaMerger::find(const std::string& reference, const std::string& path) {
  if (!reference.starts_with('#') || (reference.size() > 1 && reference[1] != '/'))
    return error(Code::kUnsupported,
                 "JSON schema: {}: $ref \"{:.100}\" is not supported: only those to \"#\" and \"#/...\" are", path,
                 reference);
  std::string pointer;  // without percent escapes
  for (size_t i = 1; i < reference.size(); ++i) {
    const auto hex = [&](size_t at) {
      const char c = at < reference.size() ? reference[at] : 'x';
      return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    };
    if (reference[i] == '%' && hex(i + 1) >= 0 && hex(i + 2) >= 0) {
      pointer += static_cast<char>(hex(i + 1) * 16 + hex(i + 2));
      i += 2;
    } else {
      pointer += reference[i];
    }
  }
  const SchemaJson* at = &root_;
  for (size_t begin = 1; begin <= pointer.size();) {
    const size_t end = std::min(pointer.find('/', begin), pointer.size());
    std::string name;
    for (size_t i = begin; i < end; ++i) {
      const bool escape = pointer[i] == '~' && i + 1 < end && (pointer[i + 1] == '0' || pointer[i + 1] == '1');
      name += !escape ? pointer[i] : pointer[++i] == '0' ? '~' : '/';
    }
    const SchemaJson* next = nullptr;
    KETTE_TRY(spend(1, path));
    if (at->is_object()) {
      KETTE_TRY(spend(at->size(), path));
      const auto it = at->find(name);
      if (it != at->end()) next = &*it;
    } else if (at->is_array() && !name.empty() && name.size() < 7 &&
               name.find_first_not_of("0123456789") == std::string::npos) {
      const size_t index = std::stoul(name);
      if (index < at->size()) next = &(*at)[index];
    }
    if (next == nullptr)
      return error(Code::kInvalidArgument, "JSON schema: {}: $ref \"{:.100}\" leads nowhere", path, reference);
    at = next;
    begin = end + 1;
  }
  return at;
}

Result<const SchemaJson*> SchemaMerger::keep(SchemaJson schema, const std::string& path) {
  Size size;
  add_size(schema, size);
  members_ += size.members;
  bytes_ += size.bytes;
  if (members_ > grammar_limits::kMergedMembers)
    return error(Code::kBudget, "JSON schema: {}: merged schemas have more than {} members", path,
                 grammar_limits::kMergedMembers);
  if (bytes_ > grammar_limits::kMergedBytes)
    return error(Code::kBudget, "JSON schema: {}: merged schemas have more than {} bytes of text", path,
                 grammar_limits::kMergedBytes);
  kept_.push_back(std::move(schema));
  return &kept_.back();
}

Result<const SchemaJson*> SchemaMerger::flatten(const SchemaJson& schema, const std::string& path) {
  return flatten(schema, path, 0);
}

Result<const SchemaJson*> SchemaMerger::both(const SchemaJson& a, const SchemaJson& b, const std::string& path) {
  if (a == true || (a.is_object() && a.empty())) return &b;
  if (b == true || (b.is_object() && b.empty())) return &a;
  SchemaJson merged = a;
  KETTE_TRY(merge(merged, b, path));
  return keep(std::move(merged), path);
}

// NOLINTNEXTLINE(misc-no-recursion): limited in depth
Result<const SchemaJson*> SchemaMerger::flatten(const SchemaJson& schema, const std::string& path, size_t nesting) {
  if (nesting > kReferences)
    return error(Code::kUnsupported, "JSON schema: {}: more than {} schemas within one another by $ref and allOf", path,
                 kReferences);
  if (!schema.is_object() || (!schema.contains("$ref") && !schema.contains("allOf"))) return &schema;
  KETTE_TRY(spend(schema.size() * schema.size(), path));
  SchemaJson rest = SchemaJson::object();
  bool alone = true;  // $ref, and nothing that counts beside it
  for (const auto& [key, value] : schema.items()) {
    if (key == "$ref" || key == "allOf" || is_annotation(key)) continue;
    rest[key] = value;
    alone = false;
  }
  if (alone && nesting == 0 && !schema.contains("allOf")) return &schema;
  KETTE_ASSIGN(const SchemaJson* merged, keep(std::move(rest), path));
  const auto add = [&](const SchemaJson& part, const std::string& where) -> Status {
    KETTE_ASSIGN(const SchemaJson* flat, flatten(part, where, nesting + 1));
    // It sees what its own schema lists, not what stands around that.
    if (flat->is_object() && flat->contains("unevaluatedProperties")) {
      SchemaJson closed = *flat;
      if (!closed.contains("additionalProperties")) closed["additionalProperties"] = closed["unevaluatedProperties"];
      closed.erase("unevaluatedProperties");
      KETTE_ASSIGN(flat, keep(std::move(closed), where));
    }
    KETTE_ASSIGN(merged, both(*merged, *flat, path));
    return {};
  };
  if (const auto ref = schema.find("$ref"); ref != schema.end()) {
    if (!ref->is_string()) return error(Code::kInvalidArgument, "JSON schema: {}: $ref is not a string", path);
    KETTE_ASSIGN(const SchemaJson* target, find(ref->get_ref<const std::string&>(), path));
    KETTE_TRY(add(*target, path));
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array()) return error(Code::kInvalidArgument, "JSON schema: {}: allOf is not a list", path);
    for (size_t i = 0; i < all->size(); ++i) KETTE_TRY(add((*all)[i], fmt::format("{}.allOf[{}]", path, i)));
  }
  return merged;
}

Status SchemaMerger::merge(SchemaJson& into, const SchemaJson& from, const std::string& path) {
  if (into == false || from == false) {
    into = false;
    return {};
  }
  if (!from.is_object() || !into.is_object())
    return error(Code::kInvalidArgument, "JSON schema: {}: a schema is an object, true or false", path);
  KETTE_TRY(spend(from.size() * (into.size() + from.size()), path));
  KETTE_TRY(merge_objects(into, from, path));
  // What comes behind the items with schemas of their own differs, if those do.
  for (const auto& [one, other] : {std::pair<const SchemaJson&, const SchemaJson&>(into, from), {from, into}})
    for (const char* key : {"items", "additionalItems"})
      if (one.contains(key) && other.contains("prefixItems") && one.find("prefixItems") == one.end())
        return disagree(path, key);
  if (into.contains("type") && from.contains("type")) {
    KETTE_ASSIGN(const std::vector<std::string> a, types_of(into, path));
    KETTE_ASSIGN(const std::vector<std::string> b, types_of(from, path));
    SchemaJson types = SchemaJson::array();
    for (const std::string& t : a)
      for (const std::string& u : b)
        if (t == u || (t == "integer" && u == "number") || (t == "number" && u == "integer"))
          types.push_back(t == u ? t : "integer");
    into["type"] = types;
    into.erase("nullable");
  } else if (from.contains("type")) {
    into["type"] = from["type"];
    if (from.contains("nullable")) into["nullable"] = from["nullable"];
  }
  KETTE_TRY(merge_values(into, from, path));
  for (const auto& [key, value] : from.items()) KETTE_TRY(merge_keyword(into, key, value, path));
  return {};
}

// properties, required and additionalProperties together: who forbids names that the other one lists?
Status SchemaMerger::merge_objects(SchemaJson& into, const SchemaJson& from, const std::string& path) {
  for (const auto& [closed, other] : {std::pair<const SchemaJson&, const SchemaJson&>(into, from), {from, into}})
    for (const char* key : {"additionalProperties", "unevaluatedProperties"}) {
      const auto rule = closed.find(key);
      if (rule == closed.end() || *rule == true) continue;
      if (other.contains("patternProperties") && !closed.contains("patternProperties"))
        return disagree(path, "patternProperties");
      if (!other.contains("properties")) continue;
      KETTE_TRY(check_object(other["properties"], "properties", path));
      std::set<std::string_view> names;
      if (const auto own = closed.find("properties"); own != closed.end() && own->is_object())
        for (const auto& [name, schema] : own->get_ref<const SchemaJson::object_t&>()) names.insert(name);
      KETTE_TRY(spend(names.size() + other["properties"].size(), path));
      for (const auto& [name, schema] : other["properties"].get_ref<const SchemaJson::object_t&>())
        if (!names.contains(name)) {
          if (key == std::string_view("unevaluatedProperties")) continue;  // counts what others list
          return error(Code::kUnsupported,
                       "JSON schema: {}: {} of one schema concerns \"{:.64}\" of another that must hold too", path, key,
                       name);
        }
    }
  if (const auto properties = from.find("properties"); properties != from.end())
    KETTE_TRY(merge_properties(into["properties"], *properties, path));
  if (const auto required = from.find("required"); required != from.end() && required->is_array()) {
    SchemaJson& own = into["required"];
    if (!own.is_array()) own = SchemaJson::array();
    KETTE_TRY(spend(own.size() + required->size(), path));
    std::set<SchemaJson> names(own.begin(), own.end());
    for (const SchemaJson& name : *required)
      if (names.insert(name).second) own.push_back(name);
  }
  return {};
}

Status SchemaMerger::merge_properties(SchemaJson& into, const SchemaJson& from, const std::string& path) {
  if (into.is_null()) into = SchemaJson::object();
  KETTE_TRY(check_object(into, "properties", path));
  KETTE_TRY(check_object(from, "properties", path));
  auto& own = into.get_ref<SchemaJson::object_t&>();
  const auto& others = from.get_ref<const SchemaJson::object_t&>();
  KETTE_TRY(spend(own.size() + others.size(), path));
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < own.size(); ++i) places.emplace((own.begin() + static_cast<std::ptrdiff_t>(i))->first, i);
  for (const auto& [name, schema] : others) {
    const auto place = places.find(name);
    if (place == places.end()) {
      own.emplace_back(name, schema);
      continue;
    }
    SchemaJson& known = (own.begin() + static_cast<std::ptrdiff_t>(place->second))->second;
    KETTE_ASSIGN(const bool same, equal(known, schema, path));
    if (!same) add_schema(known, schema);
  }
  return {};
}

// enum and const: the values that both list.
Status SchemaMerger::merge_values(SchemaJson& into, const SchemaJson& from, const std::string& path) {
  const auto lists = [](const SchemaJson& s) { return s.contains("enum") || s.contains("const"); };
  if (!lists(from) || !lists(into)) {
    for (const char* key : {"enum", "const"})
      if (from.contains(key)) into[key] = from[key];
    return {};
  }
  SchemaJson values = SchemaJson::array();
  const SchemaJson others = listed(from);
  for (const SchemaJson& value : listed(into))
    for (const SchemaJson& other : others) {
      KETTE_ASSIGN(const bool same, equal(value, other, path));
      if (!same) continue;
      values.push_back(value);
      break;
    }
  into.erase("const");
  into["enum"] = values;
  return {};
}

Status SchemaMerger::merge_keyword(SchemaJson& into, const std::string& key, const SchemaJson& value,
                                   const std::string& path) {
  for (const std::string_view done : {"properties", "required", "type", "nullable", "enum", "const"})
    if (key == done) return {};
  if (is_annotation(key)) return {};
  const auto own = into.find(key);
  if (own == into.end()) {
    into[key] = value;
    return {};
  }
  KETTE_ASSIGN(const bool same, equal(*own, value, path));
  if (same) return {};
  const bool numbers = own->is_number() && value.is_number();
  for (const std::string_view most : {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
    if (key == most && numbers) {
      if (value < *own) *own = value;
      return {};
    }
  for (const std::string_view least : {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
    if (key == least && numbers) {
      if (value > *own) *own = value;
      return {};
    }
  if (key == "items" && !own->is_array() && !value.is_array()) {
    add_schema(*own, value);
    return {};
  }
  if ((key == "additionalProperties" || key == "unevaluatedProperties") && (own->is_boolean() || value.is_boolean())) {
    if (*own == true || value == false) *own = value;
    return {};
  }
  return disagree(path, key);
}

}  // namespace kette
