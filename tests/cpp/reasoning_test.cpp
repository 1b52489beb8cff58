// Thoughts, budgets, grammars and votes through the C++ headers, by the model that this repository ships.
#include <doctest/doctest.h>

#include <cmath>

#include "support.h"

using namespace kette::cpp_test;
using kette::errc;

namespace {

const kette::model& reasoner() {
  static const auto model = kette::model::open(kette::runtime::create().value(), KETTE_TINY_MODEL).value();
  return model;
}

}  // namespace

TEST_CASE("a whole answer has its thoughts apart, and the conversation goes on") {
  kette::session s(reasoner());
  const auto reply = s.chat("What is 127 + 58?").temperature(0).reply().value();
  CHECK(reply.text.find("185") != std::string::npos);
  CHECK(reply.reasoning.size() > reply.text.size());
  CHECK(reply.reason == kette::finish_reason::stop);
  CHECK(reply.reasoning_end == kette::reasoning_end::model);
  CHECK(reply.tool_calls.empty());
  REQUIRE(s.messages().size() == 2);
  CHECK(s.messages()[1].text == reply.text);
  CHECK(s.messages()[1].json.find("reasoning_content") != std::string::npos);
  const auto before = s.metrics().value();
  CHECK(s.chat("What is 9 - 4?").temperature(0).text().value().find("5") != std::string::npos);
  const auto after = s.metrics().value();
  CHECK(after.cached_tokens + 4 >= before.prompt_tokens);
  CHECK(after.reasoning_tokens > 0);
}

TEST_CASE("thinking off, and a budget of it") {
  kette::session s(reasoner());
  const auto off = s.chat("What is 127 + 58?").temperature(0).think_at_most(0).reply().value();
  CHECK(off.reasoning.empty());
  CHECK(s.metrics().value().reasoning_tokens == 0);
  s.reset().value();
  const auto some = s.chat("What is 127 + 58?").temperature(0).think_at_most(10).reply().value();
  CHECK(some.reasoning_end == kette::reasoning_end::budget);
  CHECK(!some.text.empty());
}

TEST_CASE("a grammar, with log probabilities") {
  kette::session s(reasoner());
  const auto digits = kette::grammar::from_regex(reasoner(), "127 \\+ 58 = [0-9]{1,4}\\.").value();
  std::string text;
  for (const kette::event& e : s.chat("What is 127 + 58?").temperature(0).constrain(digits).logprobs(3).stream()) {
    if (e.is_text()) text += e.text();
    if (e.top_logprobs().empty()) continue;
    CHECK(e.top_logprobs().size() == 3);
    CHECK(e.logprob() <= 0.0f);
  }
  CHECK(text == "127 + 58 = 185.");
  CHECK(kette::grammar::from_regex(reasoner(), "(").error().code() == errc::invalid_argument);
}

TEST_CASE("several thoughts vote") {
  kette::session s(reasoner());
  kette::generate_options options;
  options.temperature = 0.7f;
  options.max_tokens = 600;
  const auto vote = kette::think_and_vote(s, "What is 127 + 58?", 3, options).value();
  CHECK(vote.replies.size() == 3);
  CHECK(vote.votes >= 1);
  CHECK(vote.text.find("185") != std::string::npos);
  CHECK(s.messages().empty());
  CHECK(s.length() > 0);
  CHECK(kette::think_and_vote(s, "x", 0).error().code() == errc::invalid_argument);
  // By a key of the caller's: all are alike.
  const auto same = kette::think_and_vote(s, "What is 127 + 58?", 2, options, [](const auto&) { return ""; }).value();
  CHECK(same.votes == 2);
}
