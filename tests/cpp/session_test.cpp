// Sessions: logits, answers as ranges, the conversation that chat() keeps.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#if __has_include(<ranges>)
#include <ranges>
#endif

#include "support.h"

using namespace kette::cpp_test;
using kette::errc;
using kette::event;
using kette::session;
using kette::token;

static_assert(!std::is_copy_constructible_v<session> && std::is_nothrow_move_constructible_v<session>);
#ifdef __cpp_lib_ranges
static_assert(std::ranges::input_range<kette::event_stream>);
#endif

namespace {

std::vector<token> tokens_of(kette::event_stream stream) {
  std::vector<token> out;
  for (const event& e : stream)
    if (e.token() >= 0) out.push_back(e.token());
  return out;
}
std::vector<token> greedy(session& s, std::uint32_t n) {
  auto request = s.generate(kPrompt);
  kette::generate_options options;
  options.temperature = 0.0f;
  options.max_tokens = n;
  options.flags = KETTE_GENERATE_IGNORE_EOS;
  return tokens_of(request.options(options).stream());
}
const std::vector<token> kGreedy8(kGreedy.begin(), kGreedy.begin() + 8);

}  // namespace

TEST_CASE("logits are the reference's, at every position") {
  session s(open_tiny());
  const auto logits = s.eval(kPrompt, kPrompt.size()).value();
  const auto expected = kette::test::load_npy(golden_file("models/llama/golden/p1_logits.npy")).floats();
  REQUIRE(logits.size() == expected.size());
  float worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) worst = std::max(worst, std::abs(logits[i] - expected[i]));
  CHECK(worst < 2e-3f);
  CHECK(s.length() == kPrompt.size());
  s.rewind(3).value();
  CHECK(s.length() == 3);
  const auto again = s.eval({kPrompt.data() + 3, kPrompt.size() - 3}).value();
  for (std::size_t i = 0; i < again.size(); ++i)
    REQUIRE(again[i] == doctest::Approx(expected[expected.size() - 288 + i]).epsilon(1e-3));
}

TEST_CASE("a failed eval changes nothing") {
  session s(open_tiny(), kette::session_options{}.set_max_context(20));
  CHECK(s.capacity() == 20);
  s.eval(kPrompt).value();
  CHECK(s.eval({1, 2, 3, 4}).error().code() == errc::context_full);
  CHECK(s.eval({288}).error().code() == errc::invalid_argument);
  CHECK(s.eval({1}, 2).error().code() == errc::invalid_argument);
  std::vector<float> small(287);
  CHECK(s.eval({1}, small, 1).error().code() == errc::invalid_argument);
  CHECK(s.length() == kPrompt.size());
  CHECK(s.rewind(18).error().code() == errc::invalid_argument);
}

TEST_CASE("greedy goes on as the reference does") {
  session s(open_tiny());
  CHECK(greedy(s, 16) == kGreedy);
  CHECK(s.status().ok());
  CHECK(s.metrics()->generated_tokens == 16);
  CHECK(greedy(s, 16) == kGreedy);  // from the cache
  CHECK(s.metrics()->cached_tokens == kPrompt.size() - 1);
}

TEST_CASE("a session saved, as bytes or as a file, goes on elsewhere") {
  const kette::model m = open_tiny();
  session s(m);
  s.eval({kPrompt.data(), 10}).value();
  const std::string bytes = s.save().value();
  session other(m);
  other.load_bytes(bytes).value();
  CHECK(other.length() == 10);
  CHECK(greedy(other, 16) == kGreedy);
  CHECK(other.metrics()->cached_tokens == 10);
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("kette-cpp-" + std::to_string(bytes.size()) + ".session");
  s.save(path.string()).value();
  other.load(path.string()).value();
  CHECK(other.length() == 10);
  std::filesystem::remove(path);
  CHECK(other.load(path.string()).error().code() == errc::not_found);
  CHECK(other.load_bytes(bytes.substr(1)).error().code() == errc::format);
  CHECK(other.length() == 10);
}

TEST_CASE("the last event says why") {
  session s(open_tiny());
  std::vector<kette::finish_reason> reasons;
  std::uint32_t index = 0;
  for (const event& e : s.generate(kPrompt).temperature(0).max_tokens(2).stream()) {
    reasons.push_back(e.reason());
    CHECK(e.index() >= index);
    index = e.index();
  }
  REQUIRE(reasons.size() >= 2);
  CHECK(reasons.back() == kette::finish_reason::length);
  CHECK(std::count(reasons.begin(), reasons.end(), kette::finish_reason::none) ==
        static_cast<std::ptrdiff_t>(reasons.size()) - 1);
}

TEST_CASE("errors end the range and stay in status()") {
  session s(open_tiny(), kette::session_options{}.set_max_context(8));
  auto stream = s.generate(kPrompt).stream();
  CHECK(stream.begin() == stream.end());
  REQUIRE_FALSE(s.status());
  CHECK(s.status().error().code() == errc::context_full);
  CHECK(s.generate(kPrompt).text().error().code() == errc::context_full);
  CHECK(s.generate(kPrompt).stop(std::string("a\0b", 3)).start().error().code() == errc::invalid_argument);
  CHECK(s.generate({5}).stop("").start().error().code() == errc::invalid_argument);
}

TEST_CASE("an answer may be left, and a newer one ends it") {
  session s(open_tiny());
  for (const event& e : s.generate(kPrompt).temperature(0).stream())
    if (e.index() == 3) break;
  CHECK(greedy(s, 8) == kGreedy8);
  auto left = s.generate(kPrompt).temperature(0).stream();
  CHECK(left.begin() != left.end());
  auto newer = s.generate(kPrompt).temperature(0).max_tokens(8).stream();
  CHECK(left.begin() == left.end());  // does not read the newer one's events
  { const kette::event_stream gone = std::move(left); }
  CHECK(tokens_of(std::move(newer)).size() == 8);
  // eval and rewind end an answer too
  auto third = s.generate(kPrompt).temperature(0).stream();
  CHECK(third.begin() != third.end());
  CHECK(s.rewind(0).ok());
  CHECK(third.begin() == third.end());
}

TEST_CASE("an answer with a cancel of the caller's may be left too") {
  session s(open_tiny());
  const kette::cancel cancel;
  for (const event& e : s.generate(kPrompt).temperature(0).cancel(cancel).stream())
    if (e.index() == 2) break;
  CHECK(greedy(s, 8) == kGreedy8);
}

TEST_CASE("cancel ends an answer with an event") {
  session s(open_tiny());
  const kette::cancel cancel;
  auto reason = kette::finish_reason::none;
  std::uint32_t seen = 0;
  for (const event& e : s.generate(kPrompt).temperature(0).cancel(cancel).stream()) {
    if (++seen == 3) cancel.trigger();
    reason = e.reason();
  }
  CHECK(reason == kette::finish_reason::cancelled);
  CHECK(s.status().ok());
}

TEST_CASE("a host's loop steps and polls") {
  session s(open_tiny());
  s.generate(kPrompt).temperature(0).max_tokens(8).start().value();
  std::vector<token> tokens;
  event e;
  for (bool done = false; !done;) {
    done = s.step(std::chrono::microseconds(200)).value();
    while (s.poll(e))
      if (e.token() >= 0) tokens.push_back(e.token());
  }
  CHECK(tokens == kGreedy8);
  CHECK_FALSE(s.poll(e));
}

TEST_CASE("guessing ahead changes no token") {
  session s(open_tiny());
  for (const auto how : {kette::speculation::automatic, kette::speculation::off, kette::speculation::prompt_lookup})
    CHECK(tokens_of(s.generate(kPrompt).temperature(0).max_tokens(8).speculate(how).stream()) == kGreedy8);
  CHECK(s.metrics()->accepted_tokens <= s.metrics()->drafted_tokens);
  CHECK(s.generate(kPrompt).speculate(kette::speculation::mtp).start().error().code() == errc::unsupported);
}

TEST_CASE("a fork goes on by itself") {
  session s(open_tiny());
  s.eval({kPrompt.data(), 10}).value();
  session copy = s.fork().value();
  s.rewind(0).value();
  CHECK(copy.length() == 10);
  const session moved = std::move(copy);
  CHECK(moved.length() == 10);
  CHECK(moved.model().vocab_size() == 288);
}

TEST_CASE("an exception in the loop ends the answer") {
  session s(open_tiny());
  CHECK_THROWS_AS(
      [&] {
        for (const event& e : s.generate(kPrompt).temperature(0).stream())
          if (e.index() == 2) throw 5;
      }(),
      int);
  CHECK(greedy(s, 8) == kGreedy8);
}

TEST_CASE("chat keeps the conversation" * doctest::skip(demo_path().empty())) {
  const auto m = kette::model::open(test_runtime(), demo_path()).value();
  session s(m);
  s.messages().push_back({"system", "You answer in one sentence."});
  const std::string first = s.chat("What is the capital of France?").temperature(0).max_tokens(40).text().value();
  CHECK(first.find("Paris") != std::string::npos);
  REQUIRE(s.messages().size() == 3);
  CHECK(s.messages()[1].text == "What is the capital of France?");
  CHECK(s.messages()[2].role == "assistant");
  CHECK(s.messages()[2].text == first);
  // Left at the second token: what was said stays said.
  for (const event& e : s.chat("And of Italy?").temperature(0).stream())
    if (e.index() == 2) break;
  CHECK(s.metrics()->cached_tokens > 20);
  REQUIRE(s.messages().size() == 5);
  // Dropped before its first token, or refused: forgotten.
  { const auto dropped = s.chat("Never mind.").stream(); }
  CHECK(s.messages().size() == 5);
  CHECK_FALSE(s.chat("Bad options.").stop("").start());
  CHECK(s.messages().size() == 5);
  const session copy = s.fork().value();
  CHECK(copy.messages().size() == 5);
  s.reset().value();
  CHECK(s.messages().empty());
  CHECK(s.length() == 0);
  // A conversation of the caller's leaves messages() alone.
  kette::chat chat(m);
  chat.add("system", "You answer in one sentence.").value();
  chat.add("user", "What is the capital of France?").value();
  CHECK(s.chat(chat).temperature(0).max_tokens(20).text().value().find("Paris") != std::string::npos);
  CHECK(s.messages().empty());
}

TEST_CASE("adapters are attached and detached") {
  const kette::model m = open_tiny();
  const auto a = kette::adapter::open(m, golden_file("adapters/llama").string()).value();
  kette::session s(m);
  const auto plain = s.eval(kPrompt).value();
  s.set_adapter(a).value();
  CHECK(s.length() == 0);
  const auto with = s.eval(kPrompt).value();
  CHECK(with != plain);
  s.set_adapter(a, 0.5f).value();
  CHECK(s.eval(kPrompt).value() != with);
  s.clear_adapters().value();
  CHECK(s.eval(kPrompt).value() == plain);
  CHECK(
      s.set_adapter(kette::adapter::open(open_tiny(), golden_file("adapters/llama").string()).value()).error().code() ==
      errc::invalid_argument);
  CHECK(kette::adapter::open(m, "/no/such").error().code() == errc::not_found);
}
