#include "sample/json_text.h"

#include "sample/regex.h"

namespace kette {

template <class F>
Expression JsonText::shared(std::optional<uint32_t>& rule, const char* name, F define) {
  if (!rule) {
    rule = builder_.declare(name);  // known before it is defined: values contain values
    builder_.define(*rule, define());
  }
  return builder_.call(*rule);
}

// For sources that are right.
Expression JsonText::regex(std::string_view source) {
  const auto parsed = parse_regex(builder_, source, RegexMatch::kWhole, RegexText::kPlain);
  return parsed.ok() ? *parsed : builder_.nothing();
}

Expression JsonText::space() {
  return shared(space_, "space", [&] { return regex("(?: |\\n(?: {0,64}|\\t{0,16}))?"); });
}
Expression JsonText::comma() { return builder_.sequence({builder_.bytes(","), space()}); }
Expression JsonText::colon() { return builder_.sequence({builder_.bytes(":"), space()}); }
Expression JsonText::boolean() { return builder_.choice({builder_.bytes("true"), builder_.bytes("false")}); }
Expression JsonText::null() { return builder_.bytes("null"); }

Expression JsonText::integer() {
  return shared(integer_, "integer", [&] { return regex("-?(?:0|[1-9][0-9]{0,63})"); });
}

Expression JsonText::number() {
  return shared(number_, "number",
                [&] { return regex("-?(?:0|[1-9][0-9]{0,63})(?:\\.[0-9]{1,32})?(?:[eE][-+]?[0-9]{1,4})?"); });
}

Expression JsonText::character() {
  return shared(character_, "character", [&] {
    const Expression plain = builder_.characters(complement({{0, 0x1f}, {'"', '"'}, {'\\', '\\'}}));
    return builder_.choice(
        {plain, regex("\\\\(?:[\"\\\\/bfnrt]|u(?:[0-9A-CE-Fa-ce-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2}|"
                      "[Dd][89ABab][0-9A-Fa-f]{2}\\\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}))")});
  });
}

Expression JsonText::string() {
  return shared(string_, "string", [&] {
    return builder_.sequence(
        {builder_.bytes("\""), builder_.repeat(character(), 0, RuleBuilder::kNoLimit), builder_.bytes("\"")});
  });
}

Expression JsonText::enclosed(std::string_view open, Expression members, bool may_be_empty, std::string_view close) {
  const Expression inside = builder_.sequence({members, space()});
  return builder_.sequence(
      {builder_.bytes(open), space(), may_be_empty ? builder_.optional(inside) : inside, builder_.bytes(close)});
}

Expression JsonText::array() {
  return shared(array_, "array", [&] {
    const Expression more = builder_.repeat(builder_.sequence({comma(), value()}), 0, RuleBuilder::kNoLimit);
    return enclosed("[", builder_.sequence({value(), more}), true, "]");
  });
}

Expression JsonText::object() {
  return shared(object_, "object", [&] {
    const Expression member = builder_.sequence({string(), colon(), value()});
    const Expression more = builder_.repeat(builder_.sequence({comma(), member}), 0, RuleBuilder::kNoLimit);
    return enclosed("{", builder_.sequence({member, more}), true, "}");
  });
}

Expression JsonText::value() {
  return shared(value_, "value", [&] {
    return builder_.choice({object(), array(), string(), number(), boolean(), null()});
  });
}

}  // namespace kette
