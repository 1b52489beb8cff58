// Forced calls as grammars: arguments are objects, and many tools together are limited.
#include "runtime/forced_call.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "support/grammar.h"

namespace kette {
namespace {

const ToolDialect& dialect(std::string_view name) {
  const auto all = tool_dialects();
  const auto found = std::find_if(all.begin(), all.end(), [&](const ToolDialect* d) { return d->name == name; });
  REQUIRE(found != all.end());
  return **found;
}

std::string call(const ToolDialect& d, std::string_view name, std::string_view arguments) {
  return fmt::format("{}{}{}{}{}{}{}", d.frame.calls_begin, d.frame.before_name, name, d.frame.before_arguments,
                     arguments, d.frame.after_arguments, d.frame.calls_end);
}

TEST_CASE("arguments are objects whatever the parameters leave open") {
  const ToolDialect& d = dialect("hermes");
  for (const char* parameters :
       {"", ",\"parameters\":null", ",\"parameters\":{}", ",\"parameters\":true", ",\"parameters\":{\"title\":\"t\"}",
        ",\"parameters\":{\"type\":\"object\"}", ",\"parameters\":{\"minProperties\":0,\"minLength\":1}"}) {
    CAPTURE(parameters);
    const auto grammar = forced_call(d, fmt::format("[{{\"name\":\"f\"{}}}]", parameters), "");
    REQUIRE_MESSAGE(grammar.ok(), grammar.status().message());
    for (const char* object : {"{}", "{\"a\":[1]}"}) CHECK(test::matches(*grammar, call(d, "f", object)));
    for (const char* other : {"1", "\"text\"", "[]", "null", "[{}]"})
      CHECK_FALSE(test::matches(*grammar, call(d, "f", other)));
  }
  // What says by other means what it is, stays as it is.
  const auto chosen = forced_call(d,
                                  "[{\"name\":\"f\",\"parameters\":{\"anyOf\":[{\"type\":\"object\",\"properties\":{"
                                  "\"a\":{\"const\":1}},\"required\":[\"a\"]}]}}]",
                                  "f");
  REQUIRE_MESSAGE(chosen.ok(), chosen.status().message());
  CHECK(test::matches(*chosen, call(d, "f", "{\"a\":1}")));
  CHECK_FALSE(test::matches(*chosen, call(d, "f", "{}")));
}

TEST_CASE("many tools together are limited before all of them are compiled") {
  std::string tools;
  for (int i = 0; i < 40; ++i)
    tools += fmt::format(
        "{{\"name\":\"f{}\",\"parameters\":{{\"type\":\"object\",\"properties\":{{\"a\":{{\"type\":"
        "\"string\",\"maxLength\":100000}}}}}}}},",
        i);
  const auto all = forced_call(dialect("hermes"), "[" + tools + "{\"name\":\"last\",\"parameters\":3}]", "");
  REQUIRE_FALSE(all.ok());
  INFO(all.status().message());
  // Of the last tool nothing is known yet: it would be kInvalidArgument.
  CHECK(all.status().code() == Code::kBudget);
  CHECK(all.status().message().find("parameters of the first 6 ") != std::string::npos);
  CHECK(forced_call(dialect("hermes"), "[" + tools.substr(0, tools.size() - 1) + "]", "f39").ok());
}

}  // namespace
}  // namespace kette
