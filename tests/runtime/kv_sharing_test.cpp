// Sessions that share pages of their KV caches: what one does is never seen by another, and costs what is new.
#include <doctest/doctest.h>

#include <thread>

#include "support/memory.h"

using namespace kette;
using namespace kette::test;

namespace {

Ids part(const Ids& ids, size_t from, size_t to) {
  return Ids(ids.begin() + static_cast<ptrdiff_t>(from), ids.begin() + static_cast<ptrdiff_t>(to));
}

// Logits of `ids` on a session of their own.
std::vector<float> alone(const std::shared_ptr<LoadedModel>& loaded, const Ids& ids) {
  return eval_all(*open_session(loaded), ids);
}

std::vector<float> last_rows(const std::vector<float>& logits, size_t rows, const LoadedModel& loaded) {
  return {logits.end() - static_cast<ptrdiff_t>(rows * loaded.model()->shape().vocab_size), logits.end()};
}

}  // namespace

TEST_CASE("a fork takes no memory until it or its source writes, and then one page") {
  for (const std::string& path : {llama_path(), latent_path(), module_path()})
    for (const size_t held : {130, 128}) {
      CAPTURE(path);
      CAPTURE(held);
      const Metered m = open_metered(path, nn::Mode::kDeterministic);
      const Ids all = some_ids(*m.loaded, held + 6), other = part(all, 0, held) + some_ids(*m.loaded, 6, 9);
      const auto source = open_session(m.loaded);
      eval_all(*source, part(all, 0, held));
      const int64_t page = m.meter->kv_bytes / static_cast<int64_t>(nn::kv_pages(held));
      CHECK(m.meter->kv_bytes == page * static_cast<int64_t>(nn::kv_pages(held)));
      CHECK(source->kv_bytes() == static_cast<uint64_t>(m.meter->kv_bytes));
      const int64_t before = m.meter->kv_bytes;
      const auto twin = value(source->fork());
      CHECK(m.meter->kv_bytes == before);
      CHECK(twin->kv_bytes() == source->kv_bytes());
      CHECK(twin->length() == held);

      CHECK(eval_all(*twin, part(other, held, held + 6)) == last_rows(alone(m.loaded, other), 6, *m.loaded));
      CHECK(m.meter->kv_bytes == before + page);
      CHECK(eval_all(*source, part(all, held, held + 6)) == last_rows(alone(m.loaded, all), 6, *m.loaded));
      CHECK(m.meter->kv_bytes == before + (held % KETTE_KV_PAGE == 0 ? 2 * page : page));
      // Back into pages that both have.
      ok(twin->rewind(70));
      CHECK(eval_all(*twin, part(other, 70, other.size())) ==
            last_rows(alone(m.loaded, other), other.size() - 70, *m.loaded));
      ok(source->rewind(held));
      CHECK(eval_all(*source, part(all, held, held + 6)) == last_rows(alone(m.loaded, all), 6, *m.loaded));
    }
}

TEST_CASE("pages come as tokens do, stay for what follows a rewind, and go with the session") {
  const Metered m = open_metered(llama_path(), nn::Mode::kDeterministic);
  auto session = open_session(m.loaded, 500);
  CHECK(m.meter->kv_bytes == 0);
  const Ids ids = some_ids(*m.loaded, 400);
  eval_all(*session, part(ids, 0, 1));
  const int64_t page = m.meter->kv_bytes;
  CHECK(page > 0);
  eval_all(*session, part(ids, 1, 64));
  CHECK(m.meter->kv_bytes == page);
  eval_all(*session, part(ids, 64, 400));
  CHECK(m.meter->kv_bytes == 7 * page);
  CHECK(session->kv_bytes() == static_cast<uint64_t>(7 * page));
  ok(session->rewind(10));
  const int64_t taken = m.meter->kv_taken;
  eval_all(*session, part(ids, 10, 400));
  CHECK(m.meter->kv_taken == taken);
  session.reset();
  CHECK(m.meter->kv_bytes == 0);
}

TEST_CASE("forked and written to between any two steps, an answer has the same tokens, and so has the fork") {
  for (const std::string& path : {llama_path(), module_path()}) {
    CAPTURE(path);
    const Metered m = open_metered(path, nn::Mode::kDeterministic);
    const Ids prompt = some_ids(*m.loaded, 60), other = some_ids(*m.loaded, 3, 5);
    const Ids expected = ask(*open_session(m.loaded), prompt, greedy(24));
    const auto session = open_session(m.loaded);
    ok(session->begin(prompt, greedy(24)));
    std::vector<std::unique_ptr<Session>> forks;
    size_t steps = 0;
    const Ids tokens = finish_answer(*session, 1, [&] {
      if (steps++ % 3 != 0) return;
      forks.push_back(value(session->fork()));
      if (steps % 2 == 0) eval_all(*forks.back(), other);  // while the source is in the midst of a pass
      if (forks.size() > 3) forks.erase(forks.begin());
    });
    CHECK(tokens == expected);
    CHECK(steps > 30);
    const Ids whole = prompt + part(expected, 0, 23);
    for (const auto& fork : forks) {
      const size_t length = std::min(fork->length(), whole.size());
      ok(fork->rewind(std::min<size_t>(length, 58)));
      CHECK(eval_all(*fork, part(whole, fork->length(), whole.size())) ==
            last_rows(alone(m.loaded, whole), whole.size() - std::min<size_t>(length, 58), *m.loaded));
    }
  }
}

// Also a pass of the module that is paused, which writes to rows behind the tokens' end and before it.
TEST_CASE("what a fork holds stays as it is while its source goes on, wherever the source was") {
  const Metered m = open_metered(module_path(), nn::Mode::kDeterministic);
  for (const size_t n : {100, 128, 530}) {
    CAPTURE(n);
    const Ids prompt = some_ids(*m.loaded, n);
    GenerateOptions options = greedy(12);
    options.speculation = Speculation::kLookAhead;
    options.max_draft = 3;
    const Ids expected = ask(*open_session(m.loaded, 1024), prompt, options);
    const auto source = open_session(m.loaded, 1024);
    ok(source->begin(prompt, options));
    const auto page_bytes = [](const Session& session, size_t i) {
      return std::string_view(reinterpret_cast<const char*>(session.kv().page(i).data()), session.kv().page_bytes());
    };
    struct Held {
      std::unique_ptr<Session> fork;
      std::vector<std::string> pages;
    };
    std::vector<Held> held;
    size_t pauses = 0, changed = 0, forks = 0, let_go = 0, wrong = 0;
    const Ids tokens = finish_answer(*source, 1, [&] {
      for (const Held& h : held)
        for (size_t i = 0; i < h.pages.size(); ++i) changed += page_bytes(*h.fork, i) != h.pages[i];
      if (held.size() == 3) {
        // The fork answers as the source does.
        if (let_go++ % 16 == 0) wrong += ask(*held.front().fork, prompt, options) != expected;
        held.erase(held.begin());
      }
      if (pauses++ % (n > 512 ? 16 : 2) != 0) return;
      Held h{value(source->fork()), {}};
      for (size_t i = 0; i < nn::kv_pages(h.fork->length()); ++i) h.pages.emplace_back(page_bytes(*h.fork, i));
      held.push_back(std::move(h));
      ++forks;
    });
    CHECK(tokens == expected);
    CHECK(changed == 0);
    CHECK(wrong == 0);
    CHECK(forks > 20);
    CHECK(let_go > 20);
  }
}

TEST_CASE("sessions that share pages may work at once") {
  for (const std::string& path : {llama_path(), module_path()}) {
    const Metered m = open_metered(path, nn::Mode::kDeterministic, 1);
    const Ids prompt = some_ids(*m.loaded, 90);
    const auto source = open_session(m.loaded);
    eval_all(*source, part(prompt, 0, 89));
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<Ids> answers(4);
    for (size_t i = 0; i < answers.size(); ++i) sessions.push_back(value(source->fork()));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < answers.size(); ++i)
      threads.emplace_back([&, i] {
        answers[i] = ask(*sessions[i], prompt, greedy(50));
        sessions[i].reset();
      });
    for (std::thread& t : threads) t.join();
    const Ids expected = ask(*open_session(m.loaded), prompt, greedy(50));
    for (const Ids& tokens : answers) CHECK(tokens == expected);
  }
}

TEST_CASE("a step that finds no memory for a page may be taken again") {
  for (const std::string& path : {llama_path(), module_path()}) {
    CAPTURE(path);
    const Metered m = open_metered(path, nn::Mode::kDeterministic, 1);
    const Ids prompt = some_ids(*m.loaded, 62);
    GenerateOptions options = greedy(8);
    options.max_draft = 3;
    const Ids expected = ask(*open_session(m.loaded), prompt, options);
    size_t failed = 0;
    for (int64_t at = 1; at < 40; ++at) {
      const auto session = open_session(m.loaded);
      ok(session->begin(prompt, options));
      std::unique_ptr<Session> fork;
      Ids tokens;
      m.meter->fail_at = at;
      for (bool done = false; !done;) {
        try {
          done = value(session->step(1));
        } catch (const std::bad_alloc&) {
          ++failed;
          continue;
        }
        while (const auto event = session->poll())
          if (event->token >= 0) tokens.push_back(event->token);
        const int64_t left = m.meter->fail_at.exchange(0);
        fork = value(session->fork());
        m.meter->fail_at = left;
      }
      m.meter->fail_at = 0;
      CHECK(tokens == expected);
    }
    CHECK(failed > 10);
  }
}
