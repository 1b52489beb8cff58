// Sessions advanced together: each answer is what it is alone, whatever the others do and however one of them ends.
#include "runtime/scheduler.h"

#include <doctest/doctest.h>

#include "support/memory.h"

namespace kette::test {
namespace {

std::unique_ptr<Scheduler> make_scheduler(const std::shared_ptr<LoadedModel>& loaded, uint32_t max_batch = 8) {
  return value(Scheduler::make(loaded, max_batch));
}

// What a session's events have come to.
struct Told {
  Ids tokens;
  std::string text;
  std::vector<float> logprobs;
  Finish finish = Finish::kNone;
  Code failure = Code::kOk;
};

void hear(Session& session, Told& told) {
  while (const auto event = session.poll()) {
    if (event->token >= 0) {
      told.tokens.push_back(event->token);
      told.logprobs.push_back(event->logprob);
    }
    if (event->kind == Event::Kind::kFailed)
      told.failure = event->failure;
    else
      told.text += event->text;
    if (event->kind == Event::Kind::kDone) told.finish = event->finish;
  }
}

bool same(const Told& a, const Told& b) {
  return a.tokens == b.tokens && a.text == b.text && a.logprobs == b.logprobs && a.finish == b.finish &&
         a.failure == b.failure;
}

// A prompt and how to answer it: of every kind of length, sampling and limit.
struct Question {
  Ids prompt;
  GenerateOptions options;
};

std::vector<Question> questions(const LoadedModel& loaded, size_t n) {
  std::vector<Question> out;
  for (size_t i = 0; i < n; ++i) {
    constexpr size_t kLengths[] = {17, 1, 150, 8, 70, 9};
    Question q{some_ids(loaded, kLengths[i % 6], static_cast<uint32_t>(40 + i)),
               greedy(static_cast<uint32_t>(5 + 7 * i % 23))};
    q.options.sampling.temperature = i % 2 == 0 ? 0.0f : 0.8f;
    q.options.sampling.seed = i;
    q.options.logprobs = true;
    if (i % 3 == 0) q.options.speculation = Speculation::kLookUp;  // which rests where others are
    out.push_back(std::move(q));
  }
  return out;
}

Told alone(Session& session, const Question& q) {
  Told told;
  ok(session.begin(q.prompt, q.options));
  for (bool done = false; !done;) {
    done = value(session.step(0));
    hear(session, told);
  }
  return told;
}

struct Group {
  Group(const std::shared_ptr<LoadedModel>& loaded, size_t n) : told(n) {
    for (size_t i = 0; i < n; ++i) sessions.push_back(open_session(loaded, 256));
  }
  void begin(const std::vector<Question>& all) {
    for (size_t i = 0; i < sessions.size(); ++i) ok(sessions[i]->begin(all[i].prompt, all[i].options));
  }
  void hear_all() {
    for (size_t i = 0; i < sessions.size(); ++i)
      if (sessions[i]) hear(*sessions[i], told[i]);
  }
  void finish(Scheduler& scheduler, uint32_t budget_us = 0) {
    for (bool done = false; !done;) {
      done = value(scheduler.step(budget_us));
      hear_all();
    }
  }
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<Told> told;
};

std::shared_ptr<LoadedModel> open(const std::string& path, nn::Mode mode) { return open_metered(path, mode).loaded; }

}  // namespace

TEST_CASE("answers, events and what sessions then hold are the same as alone") {
  for (const std::string& path : {llama_path(), latent_path(), module_path()})
    for (const nn::Mode mode : {nn::Mode::kDeterministic, nn::Mode::kExact}) {
      CAPTURE(path);
      CAPTURE(static_cast<int>(mode));
      const auto loaded = open(path, mode);
      const auto all = questions(*loaded, 9);
      Group apart(loaded, all.size());
      for (size_t i = 0; i < all.size(); ++i) apart.told[i] = alone(*apart.sessions[i], all[i]);
      for (const uint32_t budget : {0u, 200u})
        for (const uint32_t max_batch : {64u, 3u}) {
          CAPTURE(budget);
          CAPTURE(max_batch);
          Group together(loaded, all.size());
          const auto scheduler = make_scheduler(loaded, max_batch);
          for (auto& s : together.sessions) ok(scheduler->add(*s));
          together.begin(all);
          together.finish(*scheduler, budget);
          for (size_t i = 0; i < all.size(); ++i) {
            CAPTURE(i);
            CHECK(same(together.told[i], apart.told[i]));
            // Of the prediction module's layer they hold different parts: it rests where others are.
            if (!loaded->model()->looks_ahead())
              CHECK((saved(*together.sessions[i]) == saved(*apart.sessions[i])));
            else
              CHECK(together.sessions[i]->length() == apart.sessions[i]->length());
            CHECK(together.sessions[i]->metrics().gen_tokens == apart.sessions[i]->metrics().gen_tokens);
          }
        }
    }
}

// Rows never depend on each other where a kernel takes any number of them, as AVX2's do; elsewhere up to kFewRows do not.
TEST_CASE("in fast mode the tokens are those of sessions alone, in passes of few rows") {
  const auto loaded = open_metered(llama_path(), nn::Mode::kFast, 2, std::min(test_isa(), Isa::kAvx2)).loaded;
  const bool any = loaded->runtime().kernels.dot("q4_0", false).many;
  const auto all = questions(*loaded, any ? 20 : nn::kFewRows);
  Group apart(loaded, all.size()), together(loaded, all.size());
  for (size_t i = 0; i < all.size(); ++i) apart.told[i] = alone(*apart.sessions[i], all[i]);
  const auto scheduler = make_scheduler(loaded, 64);
  for (auto& s : together.sessions) ok(scheduler->add(*s));
  together.begin(all);
  together.finish(*scheduler);
  // The short prompts of several sessions are more rows than few: only where any number will do are they all the same.
  for (size_t i = 0; any && i < all.size(); ++i) CHECK(same(together.told[i], apart.told[i]));
}

TEST_CASE("sessions come and go at any point of a pass") {
  for (const std::string& path : {llama_path(), module_path()}) {
    CAPTURE(path);
    const auto loaded = open(path, nn::Mode::kDeterministic);
    const auto all = questions(*loaded, 6);
    Group apart(loaded, all.size());
    for (size_t i = 0; i < all.size(); ++i) apart.told[i] = alone(*apart.sessions[i], all[i]);
    for (uint32_t seed = 1; seed <= 12; ++seed) {
      CAPTURE(seed);
      Group group(loaded, all.size());
      auto scheduler = make_scheduler(loaded, 4);
      group.begin(all);
      uint32_t random = seed;
      const auto next = [&](uint32_t n) { return ((random = random * 1664525 + 1013904223) >> 8) % n; };
      for (size_t step = 0; std::ranges::any_of(group.sessions, [](auto& s) { return s->generating(); }); ++step) {
        REQUIRE(step < 100'000);
        Session& s = *group.sessions[next(6)];
        if (next(4) == 0) {
          if (s.scheduler() == nullptr)
            ok(scheduler->add(s));
          else
            ok(scheduler->remove(s));
        }
        if (next(25) == 0) scheduler = make_scheduler(loaded, 1 + next(8));  // those in the old one go on alone
        if (next(2) == 0)
          static_cast<void>(value(scheduler->step(1 + next(2) * 300)));
        else if (s.scheduler() == nullptr)
          static_cast<void>(value(s.step(1 + next(300))));
        if (next(8) == 0) CHECK(value(s.fork())->length() == s.length());
        group.hear_all();
      }
      for (size_t i = 0; i < all.size(); ++i) {
        CAPTURE(i);
        CHECK(same(group.told[i], apart.told[i]));
      }
    }
  }
}

TEST_CASE("a session that ends, is stopped or is cancelled in the midst of a pass leaves the others as they are") {
  const auto loaded = open(llama_path(), nn::Mode::kDeterministic);
  auto all = questions(*loaded, 4);
  for (Question& q : all) q.options.max_tokens = 40;
  Group apart(loaded, all.size());
  for (size_t i = 0; i < all.size(); ++i) apart.told[i] = alone(*apart.sessions[i], all[i]);
  for (const uint32_t budget : {0u, 1u})
    for (const int how : {0, 1, 2, 3}) {
      CAPTURE(budget);
      CAPTURE(how);
      const auto flag = std::make_shared<CancelFlag>();
      all[1].options.cancel = flag;
      Group group(loaded, all.size());
      const auto scheduler = make_scheduler(loaded);
      for (auto& s : group.sessions) ok(scheduler->add(*s));
      group.begin(all);
      while (group.told[1].tokens.size() < 3) {
        static_cast<void>(value(scheduler->step(budget)));
        group.hear_all();
      }
      for (int i = 0; i < 5; ++i) static_cast<void>(value(scheduler->step(budget)));  // somewhere in a pass
      group.hear_all();
      if (how == 0) group.sessions[1].reset();
      if (how == 1) group.sessions[1]->stop();
      if (how == 2) flag->store(true);
      if (how == 3) {  // another answer at once
        group.sessions[1]->stop();
        group.told[1] = {};
        all[1].options.cancel = nullptr;
        ok(group.sessions[1]->begin(all[1].prompt, all[1].options));
      }
      group.finish(*scheduler, budget);
      for (const size_t i : {0u, 2u, 3u}) CHECK(same(group.told[i], apart.told[i]));
      if (how == 2) {
        CHECK(group.told[1].finish == Finish::kCancelled);
        CHECK(group.sessions[1]->length() == all[1].prompt.size() + group.told[1].tokens.size() - 1);
      }
      if (how == 3) CHECK(same(group.told[1], apart.told[1]));
    }
}

TEST_CASE("what fails in one session is told as its event and ends its answer alone") {
  const Metered m = open_metered(llama_path(), nn::Mode::kDeterministic);
  const auto all = questions(*m.loaded, 4);
  Group apart(m.loaded, all.size());
  for (size_t i = 0; i < all.size(); ++i) apart.told[i] = alone(*apart.sessions[i], all[i]);

  SUBCASE("a grammar that the vocabulary cannot follow") {
    auto asked = all;
    const Tokenizer& tokenizer = *value(m.loaded->tokenizer());
    const auto bytes = [&](int32_t token) {
      const std::string_view text = tokenizer.bytes_of(token);
      return text.find('y') == text.npos ? text : std::string_view();
    };
    asked[1].options.constraint = value(Constraint::make(
        value(Grammar::literal("xxy")), value(TokenIndex::build(m.loaded->model()->shape().vocab_size, bytes, {}))));
    Group group(m.loaded, all.size());
    const auto scheduler = make_scheduler(m.loaded);
    for (auto& s : group.sessions) ok(scheduler->add(*s));
    group.begin(asked);
    group.finish(*scheduler);
    CHECK(group.told[1].failure == Code::kGrammarDeadEnd);
    CHECK(group.told[1].text == "xx");
    for (const size_t i : {0u, 2u, 3u}) CHECK(same(group.told[i], apart.told[i]));
    CHECK(same(alone(*apart.sessions[1], all[1]), apart.told[1]));
  }
  SUBCASE("no memory, wherever it is wanted") {
    size_t steps_failed = 0, answers_failed = 0;
    for (int64_t at = 1; at <= 60; ++at) {
      CAPTURE(at);
      Group group(m.loaded, all.size());
      const auto scheduler = make_scheduler(m.loaded);
      for (auto& s : group.sessions) ok(scheduler->add(*s));
      group.begin(all);
      m.meter->fail_at = at;
      for (bool done = false; !done;) {
        try {
          done = value(scheduler->step(0));
        } catch (const std::bad_alloc&) {
          ++steps_failed;  // the scheduler's own: no answer has ended
        }
        group.hear_all();
      }
      m.meter->fail_at = 0;
      size_t failed = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        if (group.told[i].failure == Code::kOk)
          CHECK(same(group.told[i], apart.told[i]));
        else
          CHECK(group.told[i].failure == Code::kOutOfMemory);
        failed += group.told[i].failure != Code::kOk;
      }
      CHECK(failed <= 1);
      answers_failed += failed;
    }
    CHECK(steps_failed > 0);
    CHECK(answers_failed > 0);
  }
}

TEST_CASE("a long prompt does not hold up the others, and each gets its turn") {
  const auto loaded = open(llama_path(), nn::Mode::kFast);
  const auto talking = open_session(loaded, 500), reading = open_session(loaded, 500);
  const auto scheduler = make_scheduler(loaded);
  ok(scheduler->add(*talking));
  ok(scheduler->add(*reading));
  ok(talking->begin(some_ids(*loaded, 9), greedy(60)));
  static_cast<void>(value(scheduler->step(0)));
  ok(reading->begin(some_ids(*loaded, 450, 7), greedy(4)));
  Told told, read;
  for (hear(*talking, told); read.tokens.empty(); hear(*talking, told)) {
    static_cast<void>(value(scheduler->step(0)));
    hear(*reading, read);
  }
  CHECK(told.tokens.size() >= 450 / 64);  // one between any two stretches
  CHECK(told.tokens.size() <= 450 / 64 + 4);

  // More sessions than a pass takes.
  Group group(loaded, 7);
  const auto small = make_scheduler(loaded, 2);
  for (auto& s : group.sessions) {
    ok(small->add(*s));
    ok(s->begin(some_ids(*loaded, 5), greedy(30)));
  }
  while (group.told[6].tokens.size() < 8) {
    static_cast<void>(value(small->step(0)));
    group.hear_all();
    const auto [least, most] = std::ranges::minmax(group.told, {}, [](const Told& t) { return t.tokens.size(); });
    CHECK(most.tokens.size() - least.tokens.size() <= 1);
  }
}

TEST_CASE("a step whose budget is over does not choose every session's token first") {
  const auto loaded = open(llama_path(), nn::Mode::kDeterministic);
  constexpr size_t kSessions = 8;
  Question q{some_ids(*loaded, 9), greedy(40)};
  q.options.logprobs = true;  // of 288 tokens each time: longer than the budget
  Group apart(loaded, 1), group(loaded, kSessions);
  apart.told[0] = alone(*apart.sessions[0], q);
  const auto scheduler = make_scheduler(loaded);
  for (auto& s : group.sessions) {
    ok(scheduler->add(*s));
    ok(s->begin(q.prompt, q.options));
  }
  size_t most = 0;
  for (bool done = false; !done;) {
    done = value(scheduler->step(1));
    size_t told = 0;
    for (size_t i = 0; i < kSessions; ++i) told += group.sessions[i]->has_event() ? 1 : 0;
    most = std::max(most, told);
    // Who leaves before its token is chosen leaves the others to evaluate theirs again.
    if (told == 1 && group.told[0].tokens.size() == 20) {
      ok(scheduler->remove(*group.sessions[5]));
      ok(scheduler->add(*group.sessions[5]));
      CHECK(value(group.sessions[6]->fork())->length() == group.sessions[6]->length());
    }
    group.hear_all();
  }
  CHECK(most >= 1);
  CHECK(most < kSessions);
  for (const Told& told : group.told) CHECK(told.tokens == apart.told[0].tokens);
}

TEST_CASE("a session that is measured takes part in passes as ever") {
  const auto loaded = open(llama_path(), nn::Mode::kDeterministic);
  const auto all = questions(*loaded, 3);
  Group apart(loaded, all.size()), group(loaded, all.size());
  for (size_t i = 0; i < all.size(); ++i) apart.told[i] = alone(*apart.sessions[i], all[i]);
  const auto scheduler = make_scheduler(loaded);
  for (auto& s : group.sessions) ok(scheduler->add(*s));
  group.begin(all);
  for (bool on = true, done = false; !done; on = !on) {
    group.sessions[1]->set_profile(on);
    done = value(scheduler->step(20));
    group.hear_all();
  }
  for (size_t i = 0; i < all.size(); ++i) CHECK(same(group.told[i], apart.told[i]));
  CHECK(value(group.sessions[1]->profile()).find("phases") != std::string::npos);
  CHECK(group.sessions[0]->profile().status().code() == Code::kMisuse);
}

TEST_CASE("sessions whose caches are of different types share passes") {
  for (const std::string& path : {llama_path(), latent_path()}) {
    CAPTURE(path);
    const auto loaded = open(path, nn::Mode::kDeterministic);
    const auto all = questions(*loaded, 8);
    Group apart(loaded, 0), group(loaded, 0);
    const auto scheduler = make_scheduler(loaded);
    for (size_t i = 0; i < all.size(); ++i) {
      for (Group* g : {&apart, &group}) {
        g->sessions.push_back(value(Session::make(loaded, 256, nn::kv_type_of(static_cast<int64_t>(i % 4)))));
        g->told.emplace_back();
      }
      apart.told[i] = alone(*apart.sessions[i], all[i]);
      ok(scheduler->add(*group.sessions[i]));
    }
    group.begin(all);
    group.finish(*scheduler, 100);
    for (size_t i = 0; i < all.size(); ++i) CHECK(same(group.told[i], apart.told[i]));
  }
}

TEST_CASE("with a budget a pass takes no more rows of short prompts than stay within the quantum") {
  RuntimeOptions options;
  options.pool.n_threads = 1;
  options.max_isa = test_isa();
  options.quantum_us = 1;
  OpenOptions open;
  open.mode = nn::Mode::kDeterministic;
  const auto loaded = value(LoadedModel::open(
      value(make_runtime(std::move(options))), [](const std::string& p) { return open_path(p, Access::kMap); },
      llama_path(), open));
  for (const uint32_t budget : {1u, 0u}) {
    CAPTURE(budget);
    Group group(loaded, Scheduler::kMostBatch);
    const auto scheduler = make_scheduler(loaded, Scheduler::kMostBatch);
    for (auto& s : group.sessions) {
      ok(scheduler->add(*s));
      ok(s->begin(some_ids(*loaded, nn::kFewRows), greedy(3)));
    }
    static_cast<void>(value(scheduler->step(budget)));
    const auto taken = std::ranges::count_if(group.sessions, [](const auto& s) { return s->kv_bytes() > 0; });
    CHECK(taken == (budget > 0 ? Scheduler::kMostBatch / nn::kFewRows : Scheduler::kMostBatch));
    group.hear_all();
    group.finish(*scheduler, budget);
    for (const Told& told : group.told) CHECK(told.tokens == group.told[0].tokens);
  }
}

TEST_CASE("guesses are made by who is alone, and not among others") {
  const auto loaded = open(module_path(), nn::Mode::kDeterministic);
  const auto one = open_session(loaded, 256), other = open_session(loaded, 256);
  const Question q{some_ids(*loaded, 20), greedy(50)};
  const Told expected = alone(*one, q);
  CHECK(one->metrics().drafted_tokens > 0);
  const auto scheduler = make_scheduler(loaded);
  ok(scheduler->add(*one));
  ok(scheduler->add(*other));
  for (const bool both : {false, true}) {
    CAPTURE(both);
    Told told;
    ok(one->rewind(0));
    ok(one->begin(q.prompt, q.options));
    if (both) ok(other->begin(q.prompt, greedy(60)));
    for (bool done = false; !done; hear(*one, told)) done = value(scheduler->step(0));
    CHECK(same(told, expected));
    CHECK((one->metrics().drafted_tokens > 0) == !both);
  }
}

TEST_CASE("calls that have no meaning are refused without effect") {
  const auto loaded = open(llama_path(), nn::Mode::kDeterministic);
  const auto other_model = open(llama_path(), nn::Mode::kDeterministic);
  const auto session = open_session(loaded, 256), stranger = open_session(other_model, 256);
  for (const uint32_t max_batch : {0u, Scheduler::kMostBatch + 1})
    CHECK(Scheduler::make(loaded, max_batch).status().code() == Code::kInvalidArgument);
  const auto scheduler = make_scheduler(loaded), second = make_scheduler(loaded);
  CHECK(value(scheduler->step(0)));
  CHECK(scheduler->add(*stranger).code() == Code::kInvalidArgument);
  CHECK(scheduler->remove(*session).code() == Code::kMisuse);
  ok(scheduler->add(*session));
  CHECK(scheduler->add(*session).code() == Code::kMisuse);
  CHECK(second->add(*session).code() == Code::kMisuse);
  CHECK(second->remove(*session).code() == Code::kMisuse);
  CHECK(value(session->step(0)));  // nothing to do
  const Question q{some_ids(*loaded, 20), greedy(10)};
  ok(session->begin(q.prompt, q.options));
  CHECK(session->step(0).status().code() == Code::kMisuse);
  CHECK(session->rewind(0).code() == Code::kMisuse);
  CHECK_FALSE(value(scheduler->step(0)));
  ok(scheduler->remove(*session));
  Told told;
  for (bool done = false; !done; hear(*session, told)) done = value(session->step(0));
  CHECK(same(told, alone(*open_session(loaded, 256), q)));
}

TEST_CASE("adapters: sessions that have them share passes with their like alone") {
  const std::filesystem::path golden = KETTE_GOLDEN_DIR;
  const auto loaded = open((golden / "models/llama/hf").string(), nn::Mode::kDeterministic);
  const OpenFile disk = [](const std::string& path) { return open_path(path, Access::kMap); };
  const std::shared_ptr<const Adapter> adapters[] = {
      nullptr, value(Adapter::open(loaded, disk, (golden / "adapters/llama").string(), nullptr)),
      value(Adapter::open(loaded, disk, (golden / "adapters/llama_second").string(), nullptr))};
  auto all = questions(*loaded, 6);
  for (Question& q : all) q.prompt = all[4].prompt;
  Group apart(loaded, all.size()), together(loaded, all.size());
  const auto scheduler = make_scheduler(loaded);
  for (size_t i = 0; i < all.size(); ++i) {
    for (Group* group : {&apart, &together})
      if (adapters[i % 3]) ok(group->sessions[i]->set_adapter(adapters[i % 3], 1));
    ok(scheduler->add(*together.sessions[i]));
    apart.told[i] = alone(*apart.sessions[i], all[i]);
  }
  together.begin(all);
  together.finish(*scheduler, 500);
  for (size_t i = 0; i < all.size(); ++i) CHECK(same(together.told[i], apart.told[i]));
}

TEST_CASE("a scheduler's scratch is within what is planned, and what the budget does not hold is refused") {
  for (const std::string& path : {llama_path(), latent_path(), module_path()}) {
    CAPTURE(path);
    OpenOptions options;
    const auto runtime = make_test_runtime();
    const OpenFile disk = [](const std::string& p) { return open_path(p, Access::kMap); };
    auto loaded = value(LoadedModel::open(runtime, disk, path, options));
    const uint64_t planned = loaded->scheduler_scratch_bytes(16);
    Group group(loaded, 16);
    const auto scheduler = make_scheduler(loaded, 16);
    auto all = questions(*loaded, 16);
    for (auto& s : group.sessions) ok(scheduler->add(*s));
    group.begin(all);
    group.finish(*scheduler, 1'000'000);
    CHECK(scheduler->scratch_bytes() <= planned);

    MemoryPlan plan = loaded->plan();
    const uint64_t least = plan.all() - plan.kv - plan.scratch + planned;
    options.plan_context = 64;  // of a session that is smaller than a scheduler
    for (const uint64_t budget : {least, least - 1}) {
      options.memory_budget = budget;
      loaded = value(LoadedModel::open(runtime, disk, path, options));
      CHECK(Scheduler::make(loaded, 16).ok() == (budget == least));
      CHECK(Scheduler::make(loaded, Scheduler::kMostBatch).status().code() == Code::kBudget);
    }
  }
}

}  // namespace kette::test
