// What a template may spend, and how it is told: the limit, the line and the code.
#include <doctest/doctest.h>

#include <chrono>

#include "chat/budget.h"
#include "chat/chat_template.h"

namespace kette {
namespace {

std::string repeat(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

std::string refusal(const std::string& source, Code code, const std::string& messages = "[]") {
  auto made = ChatTemplate::compile(source);
  Status status;
  if (made.ok()) {
    ChatRequest request;
    request.messages_json = messages;
    auto rendered = made->render(request);
    if (rendered.ok()) return "rendered " + std::to_string(rendered->text().size()) + " bytes";
    status = std::move(rendered).status();
  } else {
    status = std::move(made).status();
  }
  CHECK(status.code() == code);
  return status.message();
}

}  // namespace

TEST_CASE("a template without end is stopped at its line") {
  CHECK(refusal("a\nb\n{% for i in range(99999) %}{% for j in range(99999) %}\n{% endfor %}{% endfor %}", Code::kBudget)
            .ends_with(": the template takes more than 5000000 steps"));
  CHECK(refusal("\n{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", Code::kBudget) ==
        "template line 2: the template takes more than 5000000 steps");
  CHECK(refusal("\n\n{{ range(100001) | list }}", Code::kInvalidArgument) ==
        "template line 3: range is longer than 100000");
  CHECK(refusal("\n{% macro m(x) %}{{ m(x) }}{% endmacro %}\n{{ m(1) }}", Code::kBudget) ==
        "template line 2: macros call each other deeper than 128");
}

TEST_CASE("looking for a text takes time for each of its bytes once") {
  const std::string source =
      "{% set ns = namespace(s='a') %}{% for i in range(20) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"
      "{% set s = ns.s + ns.s %}{% set n = ns.s + 'b' %}";
  const auto began = std::chrono::steady_clock::now();
  for (const std::string question : {"n in s", "s.find(n) == 0", "s.count(n) == 1", "s.split(n) | length == 2"})
    CHECK(refusal(source + "{{ 1 if " + question + " else 22 }}", Code::kOk) == "rendered 2 bytes");
  CHECK(refusal(source + "\n{{ s.rfind(n) }}", Code::kBudget) ==
        "template line 2: the template takes more than 5000000 steps");
  CHECK(std::chrono::steady_clock::now() - began <
        std::chrono::seconds(20));  // many minutes, were it each byte with each
}

TEST_CASE("output and memory are bounded") {
  const std::string kilobyte = repeat("x", 1024);
  CHECK(refusal("\n{% for i in range(20000) %}" + kilobyte + "{% endfor %}", Code::kBudget) ==
        "template line 2: the prompt is longer than 16 MiB");
  CHECK(refusal("{% for i in range(16000) %}" + kilobyte + "{% endfor %}", Code::kOk) == "rendered 16384000 bytes");
  CHECK(refusal("\n{% set ns = namespace(s='" + kilobyte +
                    "') %}\n{% for i in range(40) %}\n{% set ns.s = ns.s + ns.s %}{% endfor %}",
                Code::kBudget) == "template line 4: the template needs more than 64 MiB");
  CHECK(refusal("\n{{ 'x' * 100000000 }}", Code::kBudget) ==
        "template line 2: the template takes more than 5000000 steps");
  CHECK(refusal("{{ '' | indent(99999999, true) }}{{ 'a\\nb' | indent(99999999) }}", Code::kBudget)
            .starts_with("template line 1: "));
}

TEST_CASE("nesting is bounded, in templates and in messages") {
  CHECK(refusal("\n{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}", Code::kFormat) ==
        "template line 2: expressions are nested deeper than 64");
  CHECK(refusal(repeat("\n{% if true %}", 5000) + repeat("{% endif %}", 5000), Code::kFormat) ==
        "template line 66: statements are nested deeper than 64");
  CHECK(refusal("\n{% set ns = namespace(l=[]) %}\n{% for i in range(100) %}\n{% set ns.l = [ns.l] %}{% endfor %}",
                Code::kBudget) == "template line 4: values are nested deeper than 64");
  CHECK(refusal("x", Code::kBudget, repeat("[", 70) + repeat("]", 70)) ==
        "chat template: messages: nested deeper than 64");
  CHECK(refusal("x", Code::kBudget, repeat("[", 1000000)) == "chat template: messages: nested deeper than 64");
  CHECK(refusal("x", Code::kInvalidArgument, "[{]").starts_with("chat template: messages: not valid JSON at byte "));
}

TEST_CASE("a source is bounded") {
  CHECK(refusal(repeat("x", jinja::kMaxSource), Code::kOk) == "rendered 1048576 bytes");
  CHECK(refusal(repeat("x", jinja::kMaxSource + 1), Code::kBudget) ==
        "chat template: 1048577 bytes, expected at most 1048576");
}

TEST_CASE("what goes wrong names its line") {
  CHECK(refusal("\n\n{{ x.y.z }}", Code::kInvalidArgument).starts_with("template line 3: "));
  CHECK(refusal("\n{{ raise_exception('roles must alternate') }}", Code::kInvalidArgument) ==
        "template line 2: the template refuses: roles must alternate");
  CHECK(refusal("\n{% if %}", Code::kFormat).starts_with("template line 2: "));
  CHECK(refusal("\n{% for x in y %}", Code::kFormat) == "template line 2: 'for' of line 2 is not closed");
  CHECK(refusal("\n{{ 'x", Code::kFormat).starts_with("template line 2: "));
}

}  // namespace kette
