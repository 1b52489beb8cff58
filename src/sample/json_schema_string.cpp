// Strings: length, pattern, format.
#include "sample/json_format.h"
#include "sample/json_schema_compiler.h"

namespace kette {

Result<std::vector<SchemaCompiler::Pattern>> SchemaCompiler::patterns(const Json& s, const std::string& path) {
  std::vector<Pattern> out;
  if (const Json* pattern = find(s, "pattern")) {
    if (!pattern->is_string()) return invalid(path, "pattern is not a string");
    out.push_back({pattern->get<std::string>(), RegexMatch::kAnywhere});
  }
  if (const Json* format = find(s, "format")) {
    if (!format->is_string()) return invalid(path, "format is not a string");
    const auto& name = format->get_ref<const std::string&>();
    const auto regex = regex_of_format(name);
    if (regex)
      out.push_back({*regex, RegexMatch::kWhole});
    else if (name != "password")  // a hint for whoever shows it
      return unsupported(path, fmt::format("format \"{:.64}\"", name));
  }
  return out;
}

Result<Expression> SchemaCompiler::parse(RuleBuilder& builder, const Pattern& pattern, const std::string& path) {
  auto parsed = parse_regex(builder, pattern.source, pattern.match, RegexText::kJsonString);
  if (parsed.ok()) return parsed;
  return std::move(parsed).status().within(fmt::format("JSON schema: {}: pattern", shown(path)));
}

Result<Expression> SchemaCompiler::string(const Json& s, const std::string& path) {
  KETTE_ASSIGN(const uint32_t least, count(s, "minLength", 0, path));
  KETTE_ASSIGN(const uint32_t most, count(s, "maxLength", RuleBuilder::kNoLimit, path));
  KETTE_ASSIGN(const std::vector<Pattern> all, patterns(s, path));
  const bool bounded = least > 0 || most != RuleBuilder::kNoLimit;
  const auto quoted = [&](Expression e) { return builder_.sequence({builder_.bytes("\""), e, builder_.bytes("\"")}); };
  if (most < least) return builder_.nothing();
  if (all.empty()) return bounded ? quoted(builder_.repeat(text_.character(), least, most)) : text_.string();
  if (all.size() == 1 && !bounded) {
    KETTE_ASSIGN(const Expression one, parse(builder_, all[0], path));
    return quoted(one);
  }
  KETTE_ASSIGN(Dfa automaton, string_automaton(s, path));
  return quoted(builder_.automaton(std::make_shared<const Dfa>(std::move(automaton))));
}

Result<Dfa> SchemaCompiler::string_automaton(const Json& s, const std::string& path) {
  KETTE_ASSIGN(const uint32_t least, count(s, "minLength", 0, path));
  KETTE_ASSIGN(const uint32_t most, count(s, "maxLength", RuleBuilder::kNoLimit, path));
  KETTE_ASSIGN(const std::vector<Pattern> all, patterns(s, path));
  RuleBuilder scratch(scratch_);
  scratch.allow_new_rules(false);
  const Expression any = json_characters(scratch, {{0, kLastCodePoint}});
  KETTE_ASSIGN(Dfa out, scratch.determinize(most < least ? scratch.nothing() : scratch.repeat(any, least, most)));
  for (const Pattern& pattern : all) {
    KETTE_ASSIGN(const Expression one, parse(scratch, pattern, path));
    KETTE_ASSIGN(const Dfa dfa, scratch.determinize(one));
    KETTE_ASSIGN(out, intersection(out, dfa, *scratch_));
  }
  if (const auto values = listed(s)) {
    std::vector<Expression> texts;
    for (const Json& value : *values)
      if (value.is_string()) texts.push_back(json_text(scratch, value.get_ref<const std::string&>()));
    KETTE_ASSIGN(const Dfa dfa, scratch.determinize(scratch.choice(std::move(texts))));
    KETTE_ASSIGN(out, intersection(out, dfa, *scratch_));
  }
  return out;
}

}  // namespace kette
