// The templates of real models against transformers' own rendering of them: tests/golden/chat/KEY.{jinja,json}.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "chat/chat_template.h"
#include "support/golden.h"

using nlohmann::ordered_json;

namespace {

// A golden case as a request: `kwargs` holds tools and further variables.
struct Case {
  explicit Case(const ordered_json& file, const ordered_json& json) {
    ordered_json variables = json.at("kwargs");
    messages = json.at("messages").dump();
    if (variables.contains("tools")) {
      if (!variables["tools"].is_null()) tools = variables["tools"].dump();
      variables.erase("tools");
    }
    kwargs = variables.dump();
    bos = file.value("bos_token", "");
    eos = file.value("eos_token", "");
    now = file.at("now").get<std::string>();
    request.messages_json = messages;
    request.tools_json = tools;
    request.variables_json = kwargs;
    request.now_iso = now;
    request.bos_token = bos;
    request.eos_token = eos;
    request.add_generation_prompt = json.at("add_generation_prompt").get<bool>();
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  std::string messages, tools, kwargs, bos, eos, now;
  kette::ChatRequest request;
};

}  // namespace

TEST_CASE("chat templates render as in transformers") {
  std::set<std::string> seen;
  size_t cases = 0;
  for (const auto& root : kette::test::golden_roots()) {
    if (!std::filesystem::exists(root / "chat")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root / "chat")) {
      if (entry.path().extension() != ".jinja" || !seen.insert(entry.path().stem().string()).second) continue;
      CAPTURE(entry.path().stem().string());
      auto compiled = kette::ChatTemplate::compile(kette::test::read_file(entry.path()));
      REQUIRE_MESSAGE(compiled.ok(), compiled.status().message());
      auto json_path = entry.path();
      const auto file = ordered_json::parse(kette::test::read_file(json_path.replace_extension(".json")));
      for (const ordered_json& json : file.at("cases")) {
        CAPTURE(json.at("id").get<std::string>());
        const Case golden(file, json);
        const auto rendered = compiled->render(golden.request);
        CHECK(rendered.ok() == json.contains("rendered"));
        if (rendered.ok() && json.contains("rendered")) {
          CHECK(rendered->text() == json["rendered"].get<std::string>());
        } else if (!rendered.ok() && json.contains("rendered")) {
          MESSAGE(rendered.status().message());
        }
        ++cases;
      }
    }
  }
  CHECK(cases > 0);
}
