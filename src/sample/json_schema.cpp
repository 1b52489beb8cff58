#include "sample/json_schema.h"

#include <algorithm>
#include <map>
#include <optional>

#include "sample/expression.h"
#include "sample/grammar_limits.h"
#include "sample/json_format.h"
#include "sample/json_number.h"
#include "sample/json_schema_merge.h"
#include "sample/json_text.h"
#include "sample/regex.h"

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

size_t depth_of(std::string_view json) {
  size_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (quoted && json[i] == '\\')
      ++i;
    else if (json[i] == '"')
      quoted = !quoted;
    else if (!quoted && (json[i] == '[' || json[i] == '{'))
      deepest = std::max(deepest, ++depth);
    else if (!quoted && (json[i] == ']' || json[i] == '}') && depth > 0)
      --depth;
  }
  return deepest;
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool is_of(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

// Each schema is a rule, made from a list of those still to do: no recursion, however the schemas refer to one another.
class SchemaCompiler {
 public:
  explicit SchemaCompiler(Json root) : root_(std::move(root)), merger_(root_), text_(builder_) {}

  Result<std::unique_ptr<const GrammarTables>> compile() {
    const uint32_t root = rule_of(root_, "");
    while (!todo_.empty()) {
      const Todo next = std::move(todo_.back());
      todo_.pop_back();
      KETTE_ASSIGN(const Expression expression, schema(*next.schema, next.path));
      builder_.define(next.rule, expression);
    }
    auto tables = builder_.compile(root);
    if (tables.ok()) return tables;
    return Status(tables.status().code(), "JSON schema: " + tables.status().message());
  }

 private:
  struct Todo {
    const Json* schema;
    std::string path;
    uint32_t rule;
  };

  static std::string shown(const std::string& path) { return path.empty() ? "the schema" : path; }
  static std::string below(const std::string& path, std::string_view name) {
    // A path that has grown long keeps its end, which tells more.
    std::string out = path.empty() ? std::string(name) : fmt::format("{}.{:.64}", path, name);
    return out.size() <= 200 ? out : "..." + out.substr(out.size() - 190);
  }
  static Status invalid(const std::string& path, std::string_view what) {
    return error(Code::kInvalidArgument, "JSON schema: {}: {}", shown(path), what);
  }
  static Status unsupported(const std::string& path, std::string_view what) {
    return error(Code::kUnsupported, "JSON schema: {}: {} is not supported", shown(path), what);
  }

  uint32_t rule_of(const Json& schema, const std::string& path) {
    const auto [it, is_new] = rules_.try_emplace(&schema);
    if (is_new) {
      it->second = builder_.declare(shown(path));
      todo_.push_back({&schema, path, it->second});
    }
    return it->second;
  }
  Expression call(const Json& schema, const std::string& path) { return builder_.call(rule_of(schema, path)); }

  static const Json* find(const Json& schema, const char* key) {
    const auto it = schema.find(key);
    return it == schema.end() ? nullptr : &*it;
  }

  Result<Expression> schema(const Json& given, const std::string& path) {
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
    if (!s.contains("type")) KETTE_TRY(imply_types(s, types));
    std::vector<Expression> ways;
    for (const std::string& type : types) {
      KETTE_ASSIGN(const Expression way, of_type(s, type, path));
      ways.push_back(way);
    }
    return builder_.choice(std::move(ways));
  }

  static Status imply_types(const Json& s, std::vector<std::string>& types) {
    std::vector<std::string> implied;
    for (const auto& [keyword, type] : kKeywords)
      if (!type.empty() && s.contains(std::string(keyword)) && std::ranges::find(implied, type) == implied.end())
        implied.emplace_back(type);
    if (implied.empty()) return {};
    if (const Json* nullable = find(s, "nullable"); nullable != nullptr && *nullable == true)
      implied.emplace_back("null");
    types = std::move(implied);
    return {};
  }

  Result<Expression> of_type(const Json& s, const std::string& type, const std::string& path) {
    if (type == "object") return object(s, path);
    if (type == "array") return array(s, path);
    if (type == "string") return string(s, path);
    if (type == "boolean") return text_.boolean();
    if (type == "null") return text_.null();
    return number(s, type == "integer", path);
  }

  // --- enum, const

  Result<Expression> values(const Json& s, const std::vector<std::string>& types, const std::string& path) {
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
  Expression literal(const Json& value) {
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

  // --- anyOf, oneOf

  Result<Expression> alternatives(const Json& s, const std::string& path) {
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
      Json parts = {{"allOf", Json::array({rest, alternative})}};
      owned_.push_back(std::move(parts));
      KETTE_ASSIGN(const Json* merged, merger_.flatten(owned_.back(), where));
      ways.push_back(call(*merged, where));
      flat.push_back(merged);
    }
    if (!any) KETTE_TRY(check_apart(flat, path));
    return builder_.choice(std::move(ways));
  }

  // Texts of one alternative must not be texts of another.
  Status check_apart(std::vector<const Json*> alternatives, const std::string& path) {
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
  Result<const Json*> seen_through(const Json& schema, const std::string& path) {
    KETTE_ASSIGN(const Json* flat, merger_.flatten(schema, shown(path)));
    for (int i = 0; i < 64 && flat->is_object() && flat->contains("$ref") && (*flat)["$ref"].is_string(); ++i) {
      KETTE_ASSIGN(flat, merger_.find((*flat)["$ref"].get<std::string>(), shown(path)));
      KETTE_ASSIGN(flat, merger_.flatten(*flat, shown(path)));
    }
    return flat;
  }

  static std::optional<std::vector<Json>> listed(const Json& schema) {
    if (!schema.is_object()) return std::nullopt;
    if (const Json* constant = find(schema, "const")) return std::vector<Json>{*constant};
    if (const Json* list = find(schema, "enum"); list != nullptr && list->is_array())
      return std::vector<Json>(list->begin(), list->end());
    return std::nullopt;
  }
  static bool share(const std::vector<Json>& a, const std::vector<Json>& b) {
    return std::ranges::any_of(a, [&](const Json& x) { return std::ranges::find(b, x) != b.end(); });
  }

  Result<bool> are_apart(const Json& a, const Json& b, const std::string& path) {
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
        if (!other_has && more != nullptr && *more == false) return true;
        if (!other_has || !requires_name(other, name)) continue;
        KETTE_ASSIGN(const Json* p, seen_through(value, path));
        KETTE_ASSIGN(const Json* q, seen_through((*others)[name], path));
        const auto in_p = listed(*p), in_q = listed(*q);
        if (in_p && in_q && !share(*in_p, *in_q)) return true;
      }
    }
    return false;
  }

  static bool requires_name(const Json& schema, const std::string& name) {
    const Json* required = find(schema, "required");
    return required != nullptr && required->is_array() &&
           std::find(required->begin(), required->end(), Json(name)) != required->end();
  }

  // --- objects

  struct Member {
    Expression text;
    bool required;
  };

  Result<Expression> object(const Json& s, const std::string& path) {
    const Json* properties = find(s, "properties");
    const Json* required = find(s, "required");
    const Json* more = find(s, "additionalProperties");
    if (more == nullptr) more = find(s, "unevaluatedProperties");
    if (properties != nullptr && !properties->is_object()) return invalid(path, "properties is not an object");
    if (required != nullptr && !required->is_array()) return invalid(path, "required is not a list");
    const bool lists = properties != nullptr && !properties->empty();
    const bool open = more != nullptr ? *more != false : !lists;
    const auto value_of_more = [&] {
      return more == nullptr || *more == true ? text_.value() : call(*more, below(path, "additionalProperties"));
    };
    if (!lists && required == nullptr && more == nullptr) return text_.object();

    std::vector<std::pair<std::string, Expression>> named;
    std::vector<bool> is_required;
    if (lists)
      for (const auto& [name, value] : properties->items()) {
        named.emplace_back(name, call(value, below(below(path, "properties"), name)));
        is_required.push_back(requires_name(s, name));
      }
    if (required != nullptr)
      for (const Json& name : *required) {
        if (!name.is_string()) return invalid(path, "required is not a list of names");
        const auto& n = name.get_ref<const std::string&>();
        if (std::ranges::find(named, n, [](const auto& p) { return p.first; }) != named.end()) continue;
        named.emplace_back(n, more != nullptr && *more == false ? builder_.nothing() : value_of_more());
        is_required.push_back(true);
      }
    // Many optional members are called, so that their names are not spelt out for every set of those before them.
    const bool many = std::ranges::count(is_required, false) > 8;
    std::vector<Member> members;
    for (size_t i = 0; i < named.size(); ++i) {
      Expression text = builder_.sequence({literal(Json(named[i].first)), text_.colon(), named[i].second});
      if (many) {
        const uint32_t rule = builder_.declare("");
        builder_.define(rule, text);
        text = builder_.call(rule);
      }
      members.push_back({text, is_required[i]});
    }
    std::optional<Expression> extra;
    if (open) {
      KETTE_ASSIGN(const Expression key, other_name(named));
      extra = builder_.sequence({key, text_.colon(), value_of_more()});
    }
    return text_object(members, extra);
  }

  // A member's name that is none of those listed, in quotes.
  Result<Expression> other_name(const std::vector<std::pair<std::string, Expression>>& named) {
    if (named.empty()) return text_.string();
    RuleBuilder scratch;
    scratch.allow_new_rules(false);
    std::vector<Expression> names;
    for (const auto& [name, value] : named) names.push_back(json_text(scratch, name));
    const Expression any = scratch.repeat(json_characters(scratch, {{0, kLastCodePoint}}), 0, RuleBuilder::kNoLimit);
    KETTE_ASSIGN(const Dfa all, scratch.determinize(any));
    KETTE_ASSIGN(const Dfa listed, scratch.determinize(scratch.choice(std::move(names))));
    KETTE_ASSIGN(Dfa others, difference(all, listed));
    return builder_.sequence({builder_.bytes("\""), builder_.automaton(std::make_shared<const Dfa>(std::move(others))),
                              builder_.bytes("\"")});
  }

  // The members in their order, optional ones left out or not, with commas between those that are there.
  Expression text_object(const std::vector<Member>& members, const std::optional<Expression>& extra) {
    const Expression comma = text_.comma();
    const auto after_comma = [&](Expression e) { return builder_.sequence({comma, e}); };
    // What may follow once a member is written: a rule for each place, which ends with a call of the next.
    std::optional<Expression> rest;
    if (extra) rest = builder_.repeat(after_comma(*extra), 0, RuleBuilder::kNoLimit);
    std::vector<Expression> firsts;  // ways to begin
    if (extra) firsts.push_back(builder_.sequence({*extra, *rest}));
    bool may_be_empty = true;
    for (size_t i = members.size(); i-- > 0;) {
      const auto [text, required] = members[i];
      const Expression with = rest ? builder_.sequence({text, *rest}) : text;
      if (required) {
        firsts.clear();
        may_be_empty = false;
      }
      firsts.push_back(with);
      const Expression here = required ? after_comma(text) : builder_.optional(after_comma(text));
      const uint32_t rule = builder_.declare("");
      builder_.define(rule, rest ? builder_.sequence({here, *rest}) : here);
      rest = builder_.call(rule);
    }
    if (firsts.empty()) return builder_.sequence({builder_.bytes("{"), text_.space(), builder_.bytes("}")});
    return text_.enclosed("{", builder_.choice(std::move(firsts)), may_be_empty, "}");
  }

  // --- arrays

  Result<uint32_t> count(const Json& s, const char* key, uint32_t fallback, const std::string& path) {
    const Json* n = find(s, key);
    if (n == nullptr) return fallback;
    const double value = n->is_number() ? n->get<double>() : -1.0;
    if (!(value >= 0) || value != static_cast<double>(static_cast<uint64_t>(std::min(value, 1e18))))
      return invalid(path, fmt::format("{} is not a whole number from 0", key));
    if (value > grammar_limits::kRepetitions)
      return error(Code::kBudget, "JSON schema: {}: {} is {}, expected at most {}", shown(path), key, value,
                   grammar_limits::kRepetitions);
    return static_cast<uint32_t>(value);
  }

  Result<Expression> array(const Json& s, const std::string& path) {
    constexpr uint32_t kNoLimit = RuleBuilder::kNoLimit;
    KETTE_ASSIGN(const uint32_t least, count(s, "minItems", 0, path));
    KETTE_ASSIGN(uint32_t most, count(s, "maxItems", kNoLimit, path));
    if (const Json* unique = find(s, "uniqueItems"); unique != nullptr && *unique != false && most > 1)
      return unsupported(path, "uniqueItems");
    const Json* items = find(s, "items");
    const Json* prefix = find(s, "prefixItems");
    const char* prefix_key = "prefixItems";
    if (prefix == nullptr && items != nullptr && items->is_array()) {  // before 2020-12
      prefix = items;
      prefix_key = "items";
      items = find(s, "additionalItems");
    } else if (items == nullptr && prefix == nullptr && least == 0 && most == kNoLimit) {
      return text_.array();
    }
    if (prefix != nullptr && !prefix->is_array()) return invalid(path, "prefixItems is not a list");
    const auto fixed = static_cast<uint32_t>(prefix != nullptr ? std::min<size_t>(prefix->size(), most) : 0);
    if (items != nullptr && *items == false) most = std::min(most, fixed);
    if (most < least) return builder_.nothing();
    if (most == 0) return builder_.sequence({builder_.bytes("["), text_.space(), builder_.bytes("]")});
    std::vector<Expression> first;  // the items with schemas of their own
    for (uint32_t i = 0; i < fixed; ++i)
      first.push_back(call((*prefix)[i], fmt::format("{}[{}]", below(path, prefix_key), i)));
    const Expression comma = text_.comma();
    std::optional<Expression> rest;  // from the end: what follows item i
    if (most > fixed) {
      const Expression item = items == nullptr || *items == true ? text_.value() : call(*items, below(path, "items"));
      const uint32_t taken = std::max<uint32_t>(fixed, 1);
      if (fixed == 0) first.push_back(item);
      const Expression more = builder_.sequence({comma, item});
      rest = builder_.repeat(more, least > taken ? least - taken : 0, most == kNoLimit ? kNoLimit : most - taken);
    }
    for (size_t i = first.size(); i-- > 1;) {
      std::vector<Expression> parts{comma, first[i]};
      if (rest) parts.push_back(*rest);
      rest = builder_.sequence(std::move(parts));
      if (i >= least) rest = builder_.optional(*rest);
    }
    const Expression members = rest ? builder_.sequence({first[0], *rest}) : first[0];
    return text_.enclosed("[", members, least == 0, "]");
  }

  // --- strings

  Result<Expression> string(const Json& s, const std::string& path) {
    KETTE_ASSIGN(const uint32_t least, count(s, "minLength", 0, path));
    KETTE_ASSIGN(const uint32_t most, count(s, "maxLength", RuleBuilder::kNoLimit, path));
    if (most < least) return builder_.nothing();
    const bool bounded = least > 0 || most != RuleBuilder::kNoLimit;
    std::vector<std::pair<std::string, RegexMatch>> patterns;
    if (const Json* pattern = find(s, "pattern")) {
      if (!pattern->is_string()) return invalid(path, "pattern is not a string");
      patterns.emplace_back(pattern->get<std::string>(), RegexMatch::kAnywhere);
    }
    if (const Json* format = find(s, "format")) {
      if (!format->is_string()) return invalid(path, "format is not a string");
      const auto& name = format->get_ref<const std::string&>();
      const auto regex = regex_of_format(name);
      if (!regex && name != "password") return unsupported(path, fmt::format("format \"{:.64}\"", name));
      if (regex) patterns.emplace_back(*regex, RegexMatch::kWhole);
    }
    const auto quoted = [&](Expression e) {
      return builder_.sequence({builder_.bytes("\""), e, builder_.bytes("\"")});
    };
    if (patterns.empty()) return bounded ? quoted(builder_.repeat(text_.character(), least, most)) : text_.string();
    const auto parse = [&](RuleBuilder& builder, size_t i) -> Result<Expression> {
      auto parsed = parse_regex(builder, patterns[i].first, patterns[i].second, RegexText::kJsonString);
      if (parsed.ok()) return parsed;
      return Status(parsed.status().code(),
                    fmt::format("JSON schema: {}: pattern: {}", shown(path), parsed.status().message()));
    };
    if (patterns.size() == 1 && !bounded) {
      KETTE_ASSIGN(const Expression one, parse(builder_, 0));
      return quoted(one);
    }
    RuleBuilder scratch;
    scratch.allow_new_rules(false);
    std::optional<Dfa> all;
    const auto restrict_to = [&](Expression e) -> Status {
      KETTE_ASSIGN(Dfa dfa, scratch.determinize(e));
      if (all) {
        KETTE_ASSIGN(dfa, intersection(*all, dfa));
      }
      all = std::move(dfa);
      return {};
    };
    for (size_t i = 0; i < patterns.size(); ++i) {
      KETTE_ASSIGN(const Expression one, parse(scratch, i));
      KETTE_TRY(restrict_to(one));
    }
    if (bounded) KETTE_TRY(restrict_to(scratch.repeat(json_characters(scratch, {{0, kLastCodePoint}}), least, most)));
    return quoted(builder_.automaton(std::make_shared<const Dfa>(std::move(*all))));
  }

  // --- numbers

  Result<Expression> number(const Json& s, bool integer, const std::string& path) {
    NumberRange range;
    range.decimals = integer ? 0 : 32;
    bool bounded = false;
    const auto bound = [&](const char* key, const char* exclusive_key, std::optional<Decimal>& at, bool& left_out,
                           bool upper) -> Status {
      for (const char* k : {key, exclusive_key}) {
        const Json* value = find(s, k);
        if (value == nullptr) continue;
        const bool exclusive = k == exclusive_key;
        if (exclusive && value->is_boolean()) {  // draft 4: of the other keyword
          left_out = *value == true && at.has_value();
          continue;
        }
        if (!value->is_number()) return invalid(path, fmt::format("{} is not a number", k));
        auto parsed = Decimal::parse(text_of(*value));
        if (!parsed.ok()) return std::move(parsed).status().within("JSON schema: " + shown(path));
        const double before = at ? find(s, key)->get<double>() : 0;
        const double now = value->get<double>();
        bounded = true;
        if (at && (upper ? now > before : now < before)) continue;
        at = *parsed;
        left_out = exclusive;
      }
      return {};
    };
    KETTE_TRY(bound("minimum", "exclusiveMinimum", range.least, range.above, false));
    KETTE_TRY(bound("maximum", "exclusiveMaximum", range.most, range.below, true));
    if (const Json* multiple = find(s, "multipleOf")) {
      bounded = true;
      const std::string text = multiple->is_number() ? text_of(*multiple) : "";
      auto step = Decimal::parse(text);
      const bool one = step.ok() && !step->negative && step->before == "1" && step->after.empty();
      const bool tenth = step.ok() && !step->negative && step->before == "0" && step->after.ends_with('1') &&
                         step->after.find_first_not_of('0') == step->after.size() - 1;
      if (one)
        range.decimals = 0;
      else if (tenth)
        range.decimals = std::min(range.decimals, static_cast<uint32_t>(step->after.size()));
      else
        return unsupported(path, fmt::format("multipleOf {:.32}", text));
    }
    if (const Json* format = find(s, "format"); format != nullptr && s.contains("type")) {
      const std::string name = format->is_string() ? format->get<std::string>() : "";
      const bool narrow = name == "int32", wide = name == "int64";
      if (narrow || wide) {
        bounded = true;
        if (!range.least) range.least = Decimal{true, narrow ? "2147483648" : "9223372036854775808", ""};
        if (!range.most) range.most = Decimal{false, narrow ? "2147483647" : "9223372036854775807", ""};
      } else if (name != "float" && name != "double" && !regex_of_format(name)) {
        return unsupported(path, fmt::format("format \"{:.64}\"", name));
      }
    }
    if (!bounded) return integer ? text_.integer() : text_.number();
    return json_number_between(builder_, range);
  }

  RuleBuilder builder_;
  const Json root_;
  SchemaMerger merger_;
  JsonText text_;
  std::map<const Json*, uint32_t> rules_;
  std::vector<Todo> todo_;
  std::deque<Json> owned_;
};

}  // namespace

Result<std::unique_ptr<const GrammarTables>> compile_json_schema(std::string_view json) {
  if (const size_t depth = depth_of(json); depth > grammar_limits::kNesting)
    return error(Code::kBudget, "JSON schema: nested {} deep, expected at most {}", depth, grammar_limits::kNesting);
  Json root = Json::parse(json, nullptr, false);
  if (root.is_discarded()) return error(Code::kInvalidArgument, "JSON schema: not valid JSON");
  return SchemaCompiler(std::move(root)).compile();
}

}  // namespace kette
