// A session on the tiny Llama: however an answer is started, cut, cancelled or gone on with, the tokens are the same.
#include "runtime/session.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/golden.h"
#include "support/model.h"

namespace kette::test {
namespace {

using Ids = std::vector<Token>;

std::string tiny_path() { return (golden_roots()[0] / "models/llama/gguf/llama-Q4_0.gguf").string(); }

// 70 tokens.
const Ids& long_prompt() {
  static const Ids ids =
      nlohmann::json::parse(read_file(golden_roots()[0] / "models/llama/golden.json"))["prompts"][2]["ids"];
  return ids;
}

// Runs the tasks on the calling thread, last first, and counts the stretches of work; may do something at one of them.
struct CountingExecutor final : Executor {
  std::function<void(uint64_t)> at_run = [](uint64_t) {};
  uint64_t runs = 0;
  uint32_t width() const override { return 1; }
  void run(uint32_t n, Task task, void* arg) override {
    at_run(runs++);
    while (n > 0) task(arg, --n, 0);
  }
};

struct Tiny {
  std::shared_ptr<LoadedModel> loaded;
  CountingExecutor* executor;  // the runtime's
};

Tiny open_tiny(nn::Mode mode) {
  RuntimeOptions options;
  options.max_isa = test_isa();
  auto executor = std::make_unique<CountingExecutor>();
  CountingExecutor* counting = executor.get();
  options.executor = std::move(executor);
  OpenOptions open;
  open.mode = mode;
  return {value(LoadedModel::open(
              value(make_runtime(std::move(options))), [](const std::string& p) { return open_path(p, Access::kMap); },
              tiny_path(), open)),
          counting};
}

GenerateOptions greedy(uint32_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.ignore_eos = true;
  options.raw_bytes = true;
  options.sampling.temperature = 0;
  return options;
}

struct Answer {
  Ids tokens;
  std::string text;
  Finish finish = Finish::kNone;
  size_t steps = 0;
};

Answer finish_answer(Session& session, uint32_t budget_us = 0) {
  Answer answer;
  for (bool done = false; !done; ++answer.steps) {
    done = value(session.step(budget_us));
    while (const auto event = session.poll()) {
      CHECK(answer.finish == Finish::kNone);  // nothing comes after the last event
      if (event->token >= 0) answer.tokens.push_back(event->token);
      answer.text += event->text;
      answer.finish = event->finish;
    }
  }
  CHECK(answer.finish != Finish::kNone);
  CHECK_FALSE(session.generating());
  return answer;
}

Answer ask(Session& session, const Ids& prompt, GenerateOptions options, uint32_t budget_us = 0) {
  ok(session.begin(prompt, std::move(options)));
  return finish_answer(session, budget_us);
}

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_CASE("what the session holds of a prompt is kept, and changes nothing") {
  const Tiny tiny = open_tiny(nn::Mode::kDeterministic);
  const auto fresh = open_session(tiny.loaded);
  const Answer expected = ask(*fresh, long_prompt(), greedy(12));
  CHECK(expected.finish == Finish::kLength);
  CHECK(expected.tokens.size() == 12);
  CHECK(fresh->metrics().cached_tokens == 0);

  CHECK(ask(*fresh, long_prompt(), greedy(12)).tokens == expected.tokens);
  CHECK(fresh->metrics().cached_tokens == long_prompt().size() - 1);
  // The answer's last token was chosen and not evaluated.
  CHECK(fresh->length() == long_prompt().size() + 11);

  const Ids longer = joined(joined(long_prompt(), expected.tokens), {5, 6, 7});
  const Answer after = ask(*fresh, longer, greedy(8));
  CHECK(fresh->metrics().cached_tokens == long_prompt().size() + 11);
  CHECK(ask(*open_session(tiny.loaded), longer, greedy(8)).tokens == after.tokens);

  Ids branch = long_prompt();
  branch[40] = branch[40] == 9 ? 10 : 9;
  const Answer branched = ask(*fresh, branch, greedy(8));
  CHECK(fresh->metrics().cached_tokens == 40);
  CHECK(ask(*open_session(tiny.loaded), branch, greedy(8)).tokens == branched.tokens);
}

TEST_CASE("rewind and fork go on as a session that never knew the rest") {
  const Tiny tiny = open_tiny(nn::Mode::kExact);
  const Ids head(long_prompt().begin(), long_prompt().begin() + 30),
      tail(long_prompt().begin() + 30, long_prompt().end());
  const auto straight = open_session(tiny.loaded);
  const auto expected = eval_all(*straight, long_prompt());
  const size_t vocab_size = tiny.loaded->model()->shape().vocab_size;
  const std::vector<float> expected_tail(expected.begin() + static_cast<ptrdiff_t>(30 * vocab_size), expected.end());

  const auto session = open_session(tiny.loaded);
  eval_all(*session, head);
  eval_all(*session, {1, 2, 3, 4});
  ok(session->rewind(30));
  CHECK(session->length() == 30);
  const auto twin = value(session->fork());
  CHECK(eval_all(*session, tail) == expected_tail);
  CHECK(twin->length() == 30);
  eval_all(*twin, {7, 7, 7});
  ok(twin->rewind(30));
  CHECK(eval_all(*twin, tail) == expected_tail);
  CHECK(session->rewind(71).code() == Code::kInvalidArgument);
  ok(session->rewind(0));
  CHECK(eval_all(*session, long_prompt()) == expected);
}

TEST_CASE("an answer in small budgets has the tokens of one run") {
  for (const nn::Mode mode : {nn::Mode::kDeterministic, nn::Mode::kExact}) {
    const Tiny tiny = open_tiny(mode);
    GenerateOptions options = greedy(20);
    options.sampling.temperature = 1.5f;
    options.sampling.seed = 3;
    const Answer whole = ask(*open_session(tiny.loaded), long_prompt(), options);
    // 1 us: one part of the pass at a time, or none.
    for (const uint32_t budget_us : {1u, 100u, 1'000'000u}) {
      const auto session = open_session(tiny.loaded);
      const Answer cut = ask(*session, long_prompt(), options, budget_us);
      CHECK(cut.tokens == whole.tokens);
      CHECK(cut.text == whole.text);
      CHECK(cut.finish == Finish::kLength);
      if (budget_us == 1'000'000) CHECK(cut.steps <= 3);
    }
  }
}

TEST_CASE("cancelled at every stretch of work and gone on with, an answer has the same tokens") {
  const Tiny tiny = open_tiny(nn::Mode::kDeterministic);
  const Ids prompt(long_prompt().begin(), long_prompt().begin() + 9);
  const uint64_t before = tiny.executor->runs;
  const Ids expected = ask(*open_session(tiny.loaded), prompt, greedy(4)).tokens;
  const uint64_t stretches = tiny.executor->runs - before;
  CHECK(stretches > 20);
  size_t cancelled_in_prompt = 0, cancelled_later = 0;
  for (uint64_t at = 0; at < stretches; ++at) {
    CAPTURE(at);
    const auto session = open_session(tiny.loaded);
    const auto flag = std::make_shared<CancelFlag>(false);
    tiny.executor->runs = 0;
    tiny.executor->at_run = [&](uint64_t run) {
      if (run == at) flag->store(true);
    };
    GenerateOptions options = greedy(4);
    options.cancel = flag;
    const Answer begun = ask(*session, prompt, options);
    tiny.executor->at_run = [](uint64_t) {};
    // In the last pass's last part the flag comes too late to be seen.
    CHECK((begun.finish == Finish::kCancelled || begun.finish == Finish::kLength));
    CHECK(std::equal(begun.tokens.begin(), begun.tokens.end(), expected.begin()));
    CHECK(session->length() <= prompt.size() + begun.tokens.size());
    (begun.tokens.empty() ? cancelled_in_prompt : cancelled_later) += begun.finish == Finish::kCancelled;
    if (begun.tokens.size() == expected.size()) continue;
    const auto left = static_cast<uint32_t>(expected.size() - begun.tokens.size());
    CHECK(joined(begun.tokens, ask(*session, joined(prompt, begun.tokens), greedy(left)).tokens) == expected);
  }
  CHECK(cancelled_in_prompt > 5);
  CHECK(cancelled_later > 5);
}

TEST_CASE("stopped between steps, the session goes on from what it evaluated") {
  const Tiny tiny = open_tiny(nn::Mode::kDeterministic);
  const Ids expected = ask(*open_session(tiny.loaded), long_prompt(), greedy(6)).tokens;
  for (size_t steps = 0; steps < 40; steps += 3) {
    const auto session = open_session(tiny.loaded);
    ok(session->begin(long_prompt(), greedy(6)));
    for (size_t i = 0; i < steps && session->generating(); ++i) (void)value(session->step(1));
    session->stop();
    CHECK_FALSE(session->generating());
    CHECK(value(session->step(0)));  // nothing to do
    CHECK(ask(*session, long_prompt(), greedy(6)).tokens == expected);
  }
}

TEST_CASE("an answer ends at a stop string, a stop token, the limit or the end of the context") {
  const Tiny tiny = open_tiny(nn::Mode::kDeterministic);
  const auto session = open_session(tiny.loaded);
  const Answer whole = ask(*session, long_prompt(), greedy(20));
  REQUIRE(whole.text.size() > 8);

  GenerateOptions options = greedy(20);
  options.stop = {whole.text.substr(5, 3)};
  const Answer stopped = ask(*session, long_prompt(), options);
  CHECK(stopped.finish == Finish::kStopString);
  CHECK(stopped.text == whole.text.substr(0, whole.text.find(options.stop[0])));

  options = greedy(20);
  options.stop_tokens = {whole.tokens[7]};
  const Answer ended = ask(*session, long_prompt(), options);
  CHECK(ended.finish == Finish::kStop);
  const auto first = std::find(whole.tokens.begin(), whole.tokens.end(), whole.tokens[7]);
  CHECK(ended.tokens == Ids(whole.tokens.begin(), first));

  const auto narrow = open_session(tiny.loaded, long_prompt().size() + 5);
  const Answer full = ask(*narrow, long_prompt(), greedy(0));
  CHECK(full.finish == Finish::kContextFull);
  CHECK(full.tokens == Ids(whole.tokens.begin(), whole.tokens.begin() + 6));  // the last needs no room
  CHECK(narrow->length() == narrow->capacity());
  float logits[288];
  CHECK(narrow->eval(Ids{1}, logits, 1).code() == Code::kContextFull);
  CHECK(narrow->length() == narrow->capacity());
}

TEST_CASE("sampled answers repeat with their seed, on a used session too") {
  const Tiny tiny = open_tiny(nn::Mode::kDeterministic);
  GenerateOptions options = greedy(12);
  options.sampling.temperature = 2;
  options.sampling.seed = 11;
  options.sampling.repetition_penalty = 1.2f;
  const auto session = open_session(tiny.loaded);
  const Ids first = ask(*session, long_prompt(), options).tokens;
  CHECK(ask(*session, long_prompt(), options).tokens == first);
  options.sampling.seed = 12;
  CHECK(ask(*session, long_prompt(), options).tokens != first);
}

TEST_CASE("what cannot be done is refused and changes nothing") {
  const Tiny tiny = open_tiny(nn::Mode::kDeterministic);
  const auto session = open_session(tiny.loaded, 80);
  float logits[288];
  CHECK(session->eval({}, logits, 0).code() == Code::kInvalidArgument);
  CHECK(session->eval(Ids{288}, logits, 1).code() == Code::kInvalidArgument);
  CHECK(session->eval(Ids{1}, logits, 2).code() == Code::kInvalidArgument);
  CHECK(session->begin({}, greedy(1)).code() == Code::kInvalidArgument);
  CHECK(session->begin({-1}, greedy(1)).code() == Code::kInvalidArgument);
  CHECK(session->begin(Ids(81, 1), greedy(1)).code() == Code::kContextFull);
  GenerateOptions wrong = greedy(1);
  wrong.stop = {""};
  CHECK(session->begin({1}, wrong).code() == Code::kInvalidArgument);
  wrong = greedy(1);
  wrong.sampling.top_p = 2;
  CHECK(session->begin({1}, wrong).code() == Code::kInvalidArgument);
  wrong = greedy(1);
  wrong.stop_tokens = {288};
  CHECK(session->begin({1}, wrong).code() == Code::kInvalidArgument);
  CHECK(session->length() == 0);
  ok(session->begin({1}, greedy(3)));
  CHECK(session->begin({1}, greedy(3)).code() == Code::kMisuse);
  CHECK(session->eval(Ids{1}, logits, 1).code() == Code::kMisuse);
  CHECK(session->rewind(0).code() == Code::kMisuse);
  CHECK(finish_answer(*session).tokens.size() == 3);
  CHECK_FALSE(Session::make(tiny.loaded, size_t{1} << 40, std::nullopt).ok());
}

}  // namespace
}  // namespace kette::test
