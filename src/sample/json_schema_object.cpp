// Objects: listed members in their order, then others by the automata of their names.
#include <algorithm>

#include "sample/json_schema_compiler.h"

namespace kette {
namespace {

bool matches_nothing(const Dfa& dfa) {  // of a product: all its states are reached
  return std::ranges::none_of(dfa.states, [](const Dfa::State& s) { return s.accepts; });
}

}  // namespace

Result<Expression> SchemaCompiler::object(const Json& s, const std::string& path) {
  const Json* more = find(s, "additionalProperties");
  if (more == nullptr) more = find(s, "unevaluatedProperties");
  for (const char* key : {"properties", "patternProperties"})
    if (const Json* p = find(s, key); p != nullptr && !p->is_object())
      return invalid(path, fmt::format("{} is not an object", key));
  KETTE_ASSIGN(const std::vector<Member> members, listed_members(s, more, path));
  KETTE_ASSIGN(std::vector<Expression> others, other_members(s, members, more, path));
  return text_object(s, members, std::move(others), path);
}

// Those of `properties`, then names that are required and not listed.
Result<std::vector<SchemaCompiler::Member>> SchemaCompiler::listed_members(const Json& s, const Json* more,
                                                                           const std::string& path) {
  std::vector<Member> members;
  const std::set<std::string_view>& names = required_by(s);
  std::set<std::string_view> known;  // names of members
  if (const Json* properties = find(s, "properties"))
    for (const auto& [name, value] : properties->get_ref<const Json::object_t&>()) {
      members.push_back({name, call(value, below(below(path, "properties"), name)), names.contains(name)});
      known.insert(name);
    }
  if (const Json* required = find(s, "required")) {
    if (!required->is_array()) return invalid(path, "required is not a list");
    for (const Json& name : *required) {
      if (!name.is_string()) return invalid(path, "required is not a list of names");
      const auto& n = name.get_ref<const std::string&>();
      if (!known.insert(n).second) continue;
      if (s.contains("patternProperties"))
        return unsupported(path,
                           fmt::format("patternProperties beside the required \"{:.64}\", which is not listed,", n));
      const bool any = more == nullptr || *more == true;
      members.push_back({n, any ? text_.value() : call(*more, below(path, "additionalProperties")), true});
    }
  }
  // Many optional members are called, so that their names are not spelt out for every set of those before them.
  const bool many = std::ranges::count(members, false, &Member::required) > 8;
  for (Member& m : members) {
    m.text = builder_.sequence({literal(Json(m.name)), text_.colon(), m.text});
    if (!many) continue;
    const uint32_t rule = builder_.declare("");
    builder_.define(rule, m.text);
    m.text = builder_.call(rule);
  }
  return members;
}

// A way to write a member whose name is not listed: for each of patternProperties, and for what is left.
Result<std::vector<Expression>> SchemaCompiler::other_members(const Json& s, const std::vector<Member>& members,
                                                              const Json* more, const std::string& path) {
  const Json* by_pattern = find(s, "patternProperties");
  const Json* names = find(s, "propertyNames");
  const Json* properties = find(s, "properties");
  const bool lists = (properties != nullptr && !properties->empty()) || by_pattern != nullptr;
  const bool open = more != nullptr ? *more != false : !lists;
  const auto value_of = [&](const Json* schema, const std::string& where) {
    return schema == nullptr || *schema == true ? text_.value() : call(*schema, where);
  };
  std::vector<Expression> out;
  if (members.empty() && by_pattern == nullptr && names == nullptr) {
    if (open)
      out.push_back(
          builder_.sequence({text_.string(), text_.colon(), value_of(more, below(path, "additionalProperties"))}));
    return out;
  }
  RuleBuilder scratch(scratch_);
  scratch.allow_new_rules(false);
  std::vector<Expression> texts;
  for (const Member& m : members) texts.push_back(json_text(scratch, m.name));
  KETTE_ASSIGN(const Dfa listed_names, scratch.determinize(scratch.choice(std::move(texts))));
  KETTE_ASSIGN(Dfa left, string_automaton(Json::object(), path));  // names that nothing concerns yet
  if (names != nullptr) {
    const std::string where = below(path, "propertyNames");
    KETTE_ASSIGN(const Json* flat, seen_through(*names, where));
    if (flat->is_object()) {
      for (const auto& [key, value] : flat->items())
        if (!is_annotation(key) && key != "pattern" && key != "format" && key != "minLength" && key != "maxLength" &&
            key != "enum" && key != "const" && !(key == "type" && value == "string"))
          return unsupported(where, fmt::format("keyword \"{:.64}\"", key));
      KETTE_ASSIGN(left, string_automaton(*flat, where));
    } else if (*flat == false) {
      left = Dfa{};
    } else if (*flat != true) {
      return invalid(where, "a schema is an object, true or false");
    }
    KETTE_ASSIGN(const Dfa wrong, difference(listed_names, left, *scratch_));
    if (!matches_nothing(wrong)) return unsupported(path, "propertyNames that excludes a name which is listed");
  }
  KETTE_ASSIGN(left, difference(left, listed_names, *scratch_));
  const auto add = [&](Dfa name, Expression value) {
    const Expression text = builder_.automaton(std::make_shared<const Dfa>(std::move(name)));
    out.push_back(builder_.sequence({builder_.bytes("\""), text, builder_.bytes("\""), text_.colon(), value}));
  };
  if (by_pattern != nullptr) {
    const Dfa names_left = left;
    for (const auto& [pattern, schema] : by_pattern->items()) {
      const std::string where = below(below(path, "patternProperties"), pattern);
      RuleBuilder own(scratch_);
      own.allow_new_rules(false);
      KETTE_ASSIGN(const Expression parsed, parse(own, {pattern, RegexMatch::kAnywhere}, where));
      KETTE_ASSIGN(const Dfa matching, own.determinize(parsed));
      KETTE_ASSIGN(const Dfa both, intersection(matching, listed_names, *scratch_));
      if (!matches_nothing(both)) return unsupported(where, "a pattern that concerns a name which is listed too");
      KETTE_ASSIGN(Dfa fresh, intersection(matching, names_left, *scratch_));
      KETTE_ASSIGN(const Dfa taken, difference(fresh, left, *scratch_));
      if (!matches_nothing(taken)) return unsupported(where, "a pattern that has names in common with others");
      KETTE_ASSIGN(left, difference(left, fresh, *scratch_));
      add(std::move(fresh), value_of(&schema, where));
    }
  }
  if (open) add(std::move(left), value_of(more, below(path, "additionalProperties")));
  return out;
}

// The members in their order, optional ones left out or not, with commas between those that are there.
Result<Expression> SchemaCompiler::text_object(const Json& s, const std::vector<Member>& members,
                                               std::vector<Expression> others, const std::string& path) {
  constexpr uint32_t kNoLimit = RuleBuilder::kNoLimit;
  const Expression comma = text_.comma();
  const auto after_comma = [&](Expression e) { return builder_.sequence({comma, e}); };
  const auto required = static_cast<uint32_t>(std::ranges::count(members, true, &Member::required));
  const auto all = static_cast<uint32_t>(members.size());
  KETTE_ASSIGN(const uint32_t least, count(s, "minProperties", 0, path));
  KETTE_ASSIGN(const uint32_t most, count(s, "maxProperties", kNoLimit, path));
  // How many others there are can be told where it is known how many of those listed there are.
  uint32_t least_others = 0, most_others = kNoLimit;
  if (required == all) {
    least_others = least > all ? least - all : 0;
    most_others = most == kNoLimit ? kNoLimit : most - std::min(most, all);
    if (most < all || (least_others > 0 && others.empty())) return builder_.nothing();
  } else if (least > required) {
    return unsupported(path, "minProperties beside optional members that are listed");
  } else if (most < all || (most != kNoLimit && !others.empty())) {
    return unsupported(path, "maxProperties beside optional members that are listed");
  }
  // What may follow once a member is written: a rule for each place, which ends with a call of the next.
  std::optional<Expression> rest;
  std::vector<Expression> firsts;  // ways to begin
  bool may_be_empty = least_others == 0;
  if (!others.empty() && most_others > 0) {
    const Expression other = builder_.choice(std::move(others));
    rest = builder_.repeat(after_comma(other), least_others, most_others);
    const uint32_t fewer = least_others > 0 ? least_others - 1 : 0;
    firsts.push_back(builder_.sequence(
        {other, builder_.repeat(after_comma(other), fewer, most_others == kNoLimit ? kNoLimit : most_others - 1)}));
  }
  for (size_t i = members.size(); i-- > 0;) {
    const Member& m = members[i];
    if (m.required) {
      firsts.clear();
      may_be_empty = false;
    }
    firsts.push_back(rest ? builder_.sequence({m.text, *rest}) : m.text);
    const Expression here = m.required ? after_comma(m.text) : builder_.optional(after_comma(m.text));
    const uint32_t rule = builder_.declare("");
    builder_.define(rule, rest ? builder_.sequence({here, *rest}) : here);
    rest = builder_.call(rule);
  }
  if (firsts.empty()) return builder_.sequence({builder_.bytes("{"), text_.space(), builder_.bytes("}")});
  return text_.enclosed("{", builder_.choice(std::move(firsts)), may_be_empty, "}");
}

}  // namespace kette
