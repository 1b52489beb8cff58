// Adapters of a session: what attaching and detaching does to what it holds, and to its answers.
#include "runtime/adapter.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/golden.h"
#include "support/hf_files.h"
#include "support/model.h"

namespace kette::test {
namespace {

using Ids = std::vector<Token>;

const std::filesystem::path kGolden = KETTE_GOLDEN_DIR;

OpenFile disk() {
  return [](const std::string& path) { return open_path(path, Access::kMap); };
}

std::shared_ptr<const Adapter> open_adapter(const std::shared_ptr<LoadedModel>& loaded, const std::string& name) {
  return value(Adapter::open(loaded, disk(), (kGolden / "adapters" / name).string(), nullptr));
}

struct Tiny {
  explicit Tiny(nn::Mode mode, uint32_t n_threads = 2)
      : loaded(open_model((kGolden / "models/llama/hf").string(), mode, n_threads)),
        first(open_adapter(loaded, "llama")),
        second(open_adapter(loaded, "llama_second")) {}
  std::shared_ptr<LoadedModel> loaded;
  std::shared_ptr<const Adapter> first, second;
};

const Ids& long_prompt() {
  static const Ids ids = nlohmann::json::parse(read_file(kGolden / "models/llama/golden.json"))["prompts"][2]["ids"];
  return ids;
}

GenerateOptions greedy(uint32_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.ignore_eos = true;
  options.sampling.temperature = 0;
  return options;
}

Ids ask(Session& session, const Ids& prompt, GenerateOptions options, uint32_t budget_us = 0) {
  ok(session.begin(prompt, std::move(options)));
  Ids tokens;
  for (bool done = false; !done;) {
    done = value(session.step(budget_us));
    while (const auto event = session.poll())
      if (event->token >= 0) tokens.push_back(event->token);
  }
  return tokens;
}

}  // namespace

TEST_CASE("what a session holds is dropped where adapters change, and only there") {
  const Tiny tiny(nn::Mode::kExact);
  const auto session = open_session(tiny.loaded);
  const auto plain = eval_all(*session, long_prompt());
  CHECK(session->adapter_key().empty());
  ok(session->clear_adapters());
  ok(session->set_adapter(tiny.first, 0));
  CHECK(session->length() == long_prompt().size());  // nothing was attached, nothing is

  ok(session->set_adapter(tiny.first, 1));
  CHECK(session->length() == 0);
  const auto one = eval_all(*session, long_prompt());
  CHECK(one != plain);
  const std::string key = session->adapter_key();
  CHECK_FALSE(key.empty());
  ok(session->set_adapter(tiny.first, 1));
  CHECK(session->length() == long_prompt().size());

  ok(session->set_adapter(tiny.first, 0.5f));
  CHECK(session->length() == 0);
  CHECK(session->adapter_key() != key);
  CHECK(eval_all(*session, long_prompt()) != one);
  ok(session->set_adapter(tiny.second, 1));
  CHECK(session->length() == 0);
  const std::string both = session->adapter_key();
  ok(session->set_adapter(tiny.second, 0));
  ok(session->set_adapter(tiny.first, 1));
  CHECK(session->adapter_key() == key);
  CHECK(eval_all(*session, long_prompt()) == one);
  CHECK(both != key);
  ok(session->set_adapter(tiny.first, 0));
  CHECK(session->adapter_key().empty());
  CHECK(eval_all(*session, long_prompt()) == plain);
}

TEST_CASE("other sessions are as they were, a fork has its session's adapters") {
  const Tiny tiny(nn::Mode::kDeterministic);
  const auto with = open_session(tiny.loaded), without = open_session(tiny.loaded);
  const Ids plain = ask(*without, long_prompt(), greedy(10));
  ok(with->set_adapter(tiny.first, 1));
  const Ids adapted = ask(*with, long_prompt(), greedy(10));
  CHECK(adapted != plain);
  CHECK(ask(*without, long_prompt(), greedy(10)) == plain);
  auto copy = value(with->fork());
  CHECK(copy->adapter_key() == with->adapter_key());
  CHECK(copy->length() == with->length());
  ok(with->clear_adapters());
  CHECK(ask(*copy, long_prompt(), greedy(10)) == adapted);
  CHECK(copy->metrics().cached_tokens == long_prompt().size() - 1);
  CHECK(ask(*with, long_prompt(), greedy(10)) == plain);
  CHECK(with->metrics().cached_tokens == KETTE_KV_PAGE);  // none of its own: the page that `without` made of it
}

TEST_CASE(
    "an answer with adapters has the same tokens in small budgets, guessed ahead, and for any number of threads") {
  for (const nn::Mode mode : {nn::Mode::kDeterministic, nn::Mode::kExact}) {
    Ids expected;
    for (const uint32_t n_threads : {1u, 2u}) {
      const Tiny tiny(mode, n_threads);
      const auto asked = [&](uint32_t budget_us, Speculation speculation) {
        const auto session = open_session(tiny.loaded);
        ok(session->set_adapter(tiny.first, 1));
        ok(session->set_adapter(tiny.second, -0.5f));
        GenerateOptions options = greedy(16);
        options.speculation = speculation;
        return ask(*session, long_prompt(), options, budget_us);
      };
      if (expected.empty()) expected = asked(0, Speculation::kOff);
      for (const uint32_t budget_us : {0u, 1u, 50u, 1000u}) {
        CHECK(asked(budget_us, Speculation::kOff) == expected);
        CHECK(asked(budget_us, Speculation::kLookUp) == expected);
      }
    }
  }
}

TEST_CASE("a prediction module that guesses without the adapter changes no token") {
  const auto loaded = open_model((kGolden / "models/dsv3_fp8/hf").string(), nn::Mode::kDeterministic);
  const NamedMatrix& m = loaded->model()->matrices()[0];
  Directory files;  // on the first matrix, of rank 1
  const auto numbers = [](size_t n) {
    std::string bytes;
    for (size_t i = 0; i < n; ++i) bytes += bytes_of(0.2f - 0.1f * static_cast<float>(i % 5));
    return bytes;
  };
  files.files["adapter_config.json"] = R"({"r": 1, "lora_alpha": 1})";
  files.files["adapter_model.safetensors"] =
      SafetensorsWriter()
          .tensor("base_model.model." + m.name + ".lora_A.weight", "F32", {1, m.in}, numbers(m.in))
          .tensor("base_model.model." + m.name + ".lora_B.weight", "F32", {m.out, 1}, numbers(m.out))
          .finish();
  const OpenFile open = [&](const std::string& path) { return files.open()(path.substr(path.rfind('/') + 1)); };
  const auto adapter = value(Adapter::open(loaded, open, "in/adapter_model.safetensors", nullptr));
  const Ids prompt(9, 3);
  std::vector<Ids> answers;
  for (const Speculation speculation : {Speculation::kOff, Speculation::kLookAhead}) {
    const auto session = open_session(loaded);
    const Ids plain = ask(*session, prompt, greedy(24));
    ok(session->set_adapter(adapter, 1));
    GenerateOptions options = greedy(24);
    options.speculation = speculation;
    answers.push_back(ask(*session, prompt, options));
    CHECK(answers.back() != plain);
    CHECK((session->metrics().drafted_tokens > 0) == (speculation == Speculation::kLookAhead));
  }
  CHECK(answers[0] == answers[1]);
}

TEST_CASE("what adapters cannot do is refused and changes nothing") {
  const Tiny tiny(nn::Mode::kDeterministic, 1), other(nn::Mode::kDeterministic, 1);
  const auto session = open_session(tiny.loaded);
  const auto before = eval_all(*session, {1, 2, 3});
  CHECK(session->set_adapter(other.first, 1).code() == Code::kInvalidArgument);
  for (const float scale : {std::nanf(""), std::numeric_limits<float>::infinity(), -2e6f})
    CHECK(session->set_adapter(tiny.first, scale).code() == Code::kInvalidArgument);
  CHECK(session->length() == 3);
  ok(session->begin({1, 2, 3}, greedy(4)));
  CHECK(session->set_adapter(tiny.first, 1).code() == Code::kMisuse);
  CHECK(session->clear_adapters().code() == Code::kMisuse);
  session->stop();
  ok(session->rewind(0));
  CHECK(eval_all(*session, {1, 2, 3}) == before);
}

}  // namespace kette::test
