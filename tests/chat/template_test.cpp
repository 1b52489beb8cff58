// Single features of the template language, where Jinja2's own behaviour is easy to get almost right.
#include <doctest/doctest.h>

#include "chat/chat_template.h"

namespace kette {
namespace {

Result<std::string> render(std::string_view source) {
  auto made = ChatTemplate::compile(source);
  if (!made.ok()) return std::move(made).status();
  ChatRequest request;
  request.messages_json = R"([{"role": "user", "content": "hi"}])";
  auto rendered = made->render(request);
  if (!rendered.ok()) return std::move(rendered).status();
  return rendered->text();
}

std::string text_of(std::string_view source) {
  auto rendered = render(source);
  return rendered.ok() ? *rendered : "error: " + rendered.status().message();
}

// Refused, at compilation or later, with `what` in the message.
bool refused(std::string_view source, std::string_view what) {
  const auto rendered = render(source);
  return !rendered.ok() && rendered.status().message().find(what) != std::string::npos;
}

TEST_CASE("lower and upper look at letters of every script") {
  CHECK(text_of("{{ 'caf\xC3\xA9' is lower }} {{ 'caf\xC3\x89' is lower }}") == "True False");
  CHECK(text_of("{{ '\xC3\x80\xC3\x89 1' is upper }} {{ '\xC3\x80\xC3\xA9' is upper }}") == "True False");
  CHECK(text_of("{{ '\xD0\x96' is upper }} {{ '\xD0\xB6' is lower }} {{ '\xC7\x85' is lower }}") == "True True False");
  CHECK(text_of("{{ '12' is lower }} {{ '' is upper }} {{ '\xE4\xB8\xAD' is upper }}") == "False False False");
}

TEST_CASE("map and select over a false value give nothing, whatever its type") {
  for (const char* value : {"none", "false", "0", "0.0", "''", "[]", "{}", "undefined_name"}) {
    CAPTURE(value);
    const std::string v = value;
    CHECK(text_of("{{ " + v + " | map('upper') | list }}") == "[]");
    CHECK(text_of("{{ " + v + " | map(attribute='x') | list }}") == "[]");
    for (const char* filter : {"select", "reject", "selectattr('x')", "rejectattr('x')"})
      CHECK(text_of("{{ " + v + " | " + filter + " | list }}") == "[]");
  }
  CHECK(text_of("{{ ['a', 'b'] | map('upper') | join(',') }}") == "A,B");
  CHECK(text_of("{{ [0, 1, '', 'x'] | select | list }}") == "[1, 'x']");
  CHECK_FALSE(render("{{ 5 | map('upper') | list }}").ok());
  CHECK_FALSE(render("{{ true | select | list }}").ok());
}

TEST_CASE("names of filters and tests may have dots; an unknown one is refused by its whole name") {
  CHECK(refused("{{ 'x' | my.filter }}", "my.filter"));
  CHECK(refused("{{ 'x' is my.test }}", "my.test"));
  CHECK(refused("{% filter my.filter %}x{% endfilter %}", "my.filter"));
  CHECK_FALSE(render("{{ 'x' | upper. }}").ok());
  CHECK(text_of("{{ 'x' | upper }}") == "X");
}

}  // namespace
}  // namespace kette
