// Runtimes and models: opening, what they say of themselves, hooks, tokens.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <utility>

#include "support.h"
#include "support/folder.h"

using namespace kette::cpp_test;
using kette::errc;
using kette::load_options;
using kette::model;

static_assert(std::is_copy_constructible_v<model> && std::is_nothrow_move_constructible_v<model>);
static_assert(std::is_copy_constructible_v<kette::runtime>);
static_assert(!std::is_copy_constructible_v<kette::cancel> && !std::is_copy_constructible_v<kette::chat>);

TEST_CASE("headers and library are of one version") {
  CHECK(kette::version() == KETTE_VERSION);
  CHECK(std::string(kette::build_info()).front() == '{');
  CHECK_FALSE(kette::has_feature("no such feature"));
}

TEST_CASE("a model describes itself") {
  const model m = open_tiny();
  CHECK(m.vocab_size() == 288);
  CHECK(m.number("vocab_size") == 288);
  CHECK_FALSE(m.number("no such key"));
  CHECK(m.info().value().find("\"context_length\"") != std::string::npos);
  CHECK(model::probe(test_runtime(), tiny_path()).value().find("\"parameters\"") != std::string::npos);
}

TEST_CASE("a model outlives its runtime and its other references") {
  model copy = [] {
    const auto rt = kette::runtime::create(kette::runtime_options{}.set_threads(2)).value();
    const model first = model::open(rt, tiny_path()).value();
    return model(first);
  }();
  model moved = std::move(copy);
  copy = moved;
  moved = moved;  // NOLINT
  CHECK(copy.vocab_size() == 288);
  CHECK(moved.tokenize("hello").value() == copy.tokenize("hello").value());
}

TEST_CASE("what cannot be opened says why") {
  const auto missing = model::open(test_runtime(), "/no/such/model.gguf");
  REQUIRE_FALSE(missing);
  CHECK((missing.error().code() == errc::not_found || missing.error().code() == errc::io));
  CHECK(missing.error().message().find("model.gguf") != std::string::npos);
  CHECK_THROWS_AS(static_cast<void>(missing.value()), kette::exception);
  const auto isa = kette::runtime::create(kette::runtime_options{}.set_max_isa("abacus"));
  REQUIRE_FALSE(isa);
  CHECK(isa.error().code() == errc::invalid_argument);
  const auto weights = model::open(test_runtime(), tiny_path(), load_options{}.set_weight_type("q99"));
  CHECK_FALSE(weights);
}

TEST_CASE("encoded weights are kept in a folder, and a budget is for a session too") {
  const kette::test::Folder folder;
  const auto options = load_options{}.set_weight_type("q8_0").set_pack_dir(folder.path.string());
  for (const char* state : {"\"written\"", "\"found\""}) {
    const auto m = model::open(test_runtime(), tiny_path(), options);
    REQUIRE(m);
    CHECK(m->info().value().find(state) != std::string::npos);
  }
  CHECK(folder.names().size() == 1);
  const auto refused =
      model::open(test_runtime(), tiny_path(), load_options{}.set_memory_budget(1 << 20).set_plan_context(1 << 20));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::budget);
}

TEST_CASE("progress is told, may stop, and may throw") {
  std::uint64_t last = 0, total = 0;
  const auto watch = load_options{}.set_progress([&](std::uint64_t done, std::uint64_t all) {
    CHECK(done >= last);
    last = done;
    total = all;
    return true;
  });
  CHECK(model::open(test_runtime(), tiny_path(), watch).ok());
  CHECK(total > 0);
  CHECK(last == total);
  const auto refuse = load_options{}.set_progress([](std::uint64_t, std::uint64_t) { return false; });
  const auto stopped = model::open(test_runtime(), tiny_path(), refuse);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code() == errc::host);
  const auto thrower =
      load_options{}.set_progress([](std::uint64_t, std::uint64_t) -> bool { throw std::domain_error("mine"); });
  CHECK_THROWS_WITH_AS(static_cast<void>(model::open(test_runtime(), tiny_path(), thrower)), "mine", std::domain_error);
}

TEST_CASE("memory is released once, on success and on failure") {
  const std::string bytes = kette::test::read_file(tiny_path());
  int released = 0;
  {
    const auto m = model::open_memory(test_runtime(), bytes.data(), bytes.size(), [&] { ++released; });
    REQUIRE(m);
    CHECK(m->vocab_size() == 288);
    CHECK(released == 0);
  }
  CHECK(released == 1);
  CHECK_FALSE(model::open_memory(test_runtime(), bytes.data(), 100, [&] { ++released; }));
  CHECK(released == 2);
}

TEST_CASE("the log is freed with the runtime, also one that cannot be made") {
  auto counter = std::make_shared<int>(0);
  const auto options = [&](const char* isa) {
    return kette::runtime_options{}.set_threads(1).set_max_isa(isa).set_log(
        [counter](kette::log_level, std::string_view, std::string_view) { throw 1; }, kette::log_level::debug);
  };
  CHECK_FALSE(kette::runtime::create(options("abacus")));
  CHECK(counter.use_count() == 1);
  {
    const auto rt = kette::runtime::create(options("ref")).value();
    CHECK(counter.use_count() == 2);
    CHECK(model::open(rt, tiny_path()).ok());
  }
  CHECK(counter.use_count() == 1);
}

TEST_CASE("text to tokens and back, any bytes, from several threads") {
  const model m = open_tiny(KETTE_MODEL_VOCAB_ONLY);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i * 7919 >> 3);
  const auto tokens = m.tokenize(text).value();
  CHECK(m.detokenize(tokens).value() == text);
  CHECK(m.tokenize("").value().empty());
  CHECK(m.detokenize({}).value().empty());
  std::atomic<int> agree{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { agree += m.tokenize(text).value() == tokens; });
  for (std::thread& t : threads) t.join();
  CHECK(agree == 4);
}

TEST_CASE("a vocabulary alone makes no session") {
  const auto s = kette::session::create(open_tiny(KETTE_MODEL_VOCAB_ONLY));
  REQUIRE_FALSE(s);
  CHECK(s.error().code() == errc::misuse);
}

TEST_CASE("a chat template is filled in, or missing by name") {
  const auto none = kette::chat::create(open_tiny());
  if (none) CHECK_FALSE(none->render().ok());
  if (demo_path().empty()) return;
  const auto m = model::open(test_runtime(), demo_path(), load_options{}.set_flags(KETTE_MODEL_VOCAB_ONLY)).value();
  kette::chat chat(m);
  chat.add("system", "Be brief.").value();
  chat.add_json(R"([{"role": "user", "content": "Hi"}])").value();
  CHECK(chat.render().value() ==
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  CHECK(chat.render(false).value() == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
  CHECK_FALSE(chat.add_json("{"));
}

TEST_CASE("texts are embedded") {
  const model m = open_tiny();
  const auto both = m.embed({"one", "and one more"}).value();
  CHECK(both.size() == 2 * m.hidden_size());
  const auto second = m.embed({"and one more"}).value();
  CHECK(std::equal(second.begin(), second.end(), both.begin() + static_cast<std::ptrdiff_t>(m.hidden_size())));
  const auto last =
      m.embed({"one"}, kette::embed_options{}.set_pooling(kette::pooling::last).set_normalize(true)).value();
  double squares = 0;
  for (const float f : last) squares += static_cast<double>(f) * static_cast<double>(f);
  CHECK(squares == doctest::Approx(1));
  CHECK(m.embed({}).value().empty());
  const auto refused = m.embed({"short", std::string(4000, '\0')});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::context_full);
  CHECK(refused.error().message().find("text 1") != std::string::npos);
}
