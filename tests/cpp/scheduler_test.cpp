// Schedulers: sessions that work as ever, and bring each other on.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <optional>

#include "support.h"

using namespace kette::cpp_test;
using kette::event;
using kette::scheduler;
using kette::session;
using kette::token;

static_assert(!std::is_copy_constructible_v<scheduler> && std::is_nothrow_move_constructible_v<scheduler>);

namespace {

kette::generate_options greedy(std::uint32_t n) {
  kette::generate_options options;
  options.temperature = 0.0f;
  options.max_tokens = n;
  options.flags = KETTE_GENERATE_IGNORE_EOS;
  return options;
}
std::vector<token> first(std::size_t n) { return {kGreedy.begin(), kGreedy.begin() + static_cast<std::ptrdiff_t>(n)}; }

}  // namespace

TEST_CASE("events of all sessions, told apart, and sessions that move") {
  const kette::model m = open_tiny();
  scheduler all(m, 4);
  std::vector<session> sessions;
  std::map<kette_session*, std::vector<token>> got;
  int users[3] = {};
  for (int& user : users) {
    sessions.emplace_back(m, kette::session_options{}.set_max_context(128).set_user(&user));
    all.add(sessions.back()).value();
  }
  scheduler moved = std::move(all);
  for (std::size_t i = 0; i < 3; ++i)
    sessions[i].generate(kPrompt).options(greedy(4 + 4 * static_cast<std::uint32_t>(i))).start().value();
  bool done = false;
  while (!done) {
    done = moved.step(std::chrono::microseconds(500)).value();
    for (event e; moved.poll(e);) {
      if (e.token() >= 0) got[e.session()].push_back(e.token());
      ++*static_cast<int*>(e.user());
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(got[sessions[i].raw()] == first(4 + 4 * i));
    CHECK(users[i] >= static_cast<int>(5 + 4 * i));  // and the end
  }
  event e;
  CHECK_FALSE(moved.poll(e));
}

TEST_CASE("streams and whole answers advance the others, whose events wait") {
  const kette::model m = open_tiny();
  session a(m), b(m);
  scheduler both(m);
  both.add(a).value();
  both.add(b).value();
  b.generate(kPrompt).options(greedy(8)).start().value();
  std::vector<token> of_a, of_b;
  for (const event& e : a.generate(kPrompt).options(greedy(12)).stream())
    if (e.token() >= 0) of_a.push_back(e.token());
  CHECK(of_a == first(12));
  CHECK(b.length() > kPrompt.size());
  while (!b.step(std::chrono::microseconds(0)).value()) {
  }
  for (event e; b.poll(e);)
    if (e.token() >= 0) of_b.push_back(e.token());
  CHECK(of_b == first(8));
  // Steps of the scheduler are none of its own.
  a.generate(kPrompt).options(greedy(12)).start().value();
  b.generate(kPrompt).options(greedy(2)).start().value();
  while (!b.step(std::chrono::microseconds(0)).value()) {
  }
  CHECK(b.metrics().value().steps == 0);
  a.stop();

  // A stream left early, with the caller's flag and without, ends its answer and nobody else's.
  const auto own = kette::cancel();
  for (const kette::cancel* flag : {static_cast<const kette::cancel*>(nullptr), &own}) {
    b.generate(kPrompt).options(greedy(6)).start().value();
    kette::generate_options options = greedy(30);
    options.cancel = flag;
    for (const event& e : a.generate(kPrompt).options(options).stream())
      if (e.index() == 3) break;
    CHECK(a.generate(kPrompt).options(greedy(5)).reply().value().reason == kette::finish_reason::length);
    of_b.clear();
    bool done = false;
    while (!done) {
      done = both.step(std::chrono::microseconds(0)).value();
      for (event e; both.poll(e);)
        if (e.token() >= 0 && e.session() == b.raw()) of_b.push_back(e.token());
    }
    for (event e; both.poll(e);) of_b.push_back(e.token());
    CHECK(of_b == first(6));
  }
  CHECK(both.add(a).error().code() == kette::errc::misuse);
}

TEST_CASE("where there is no memory an answer ends, and the next one can begin") {
  static bool refuse;
  refuse = false;
  auto host = kette::detail::sized<kette_allocator>();
  host.alloc = [](void*, std::size_t n, std::size_t align, std::uint32_t tag) -> void* {
    return refuse && tag == KETTE_MEMORY_SCRATCH ? nullptr : std::aligned_alloc(align, (n + align - 1) / align * align);
  };
  host.free_ = [](void*, void* p, std::size_t, std::size_t, std::uint32_t) { std::free(p); };
  const auto rt = kette::runtime::create(kette::runtime_options{}.set_threads(1).set_allocator(&host)).value();
  const auto m = kette::model::open(rt, tiny_path(), kette::load_options{}.set_flags(KETTE_MODEL_EXACT)).value();
  for (const bool alone : {true, false}) {
    CAPTURE(alone);
    session a(m), b(m);
    scheduler both(m);
    if (!alone) {
      both.add(a).value();
      both.add(b).value();
      b.generate(kPrompt).options(greedy(4)).start().value();
    }
    a.generate(kPrompt).options(greedy(4)).start().value();
    refuse = true;
    CHECK(a.step(std::chrono::microseconds(0)).error().code() == kette::errc::out_of_memory);
    CHECK(a.status().error().code() == kette::errc::out_of_memory);
    refuse = false;
    std::vector<token> got;
    for (const event& e : a.generate(kPrompt).options(greedy(5)).stream())
      if (e.token() >= 0) got.push_back(e.token());
    CHECK(a.status().ok());
    CHECK(got == first(5));
  }
}

TEST_CASE("whichever ends first") {
  const kette::model m = open_tiny();
  std::optional<session> a(std::in_place, m), b(std::in_place, m);
  std::optional<scheduler> all(std::in_place, m);
  all->add(*a).value();
  all->add(*b).value();
  for (session* s : {&*a, &*b}) s->generate(kPrompt).options(greedy(9)).start().value();
  all->step(std::chrono::microseconds(1)).value();
  a.reset();
  all->step(std::chrono::microseconds(1)).value();
  all.reset();
  std::vector<token> rest;
  while (!b->step(std::chrono::microseconds(0)).value()) {
  }
  for (event e; b->poll(e);)
    if (e.token() >= 0) rest.push_back(e.token());
  CHECK(rest == first(9));

  scheduler other(m);
  other.add(*b).value();
  other.remove(*b).value();
  CHECK(other.remove(*b).error().code() == kette::errc::misuse);
  CHECK(scheduler::create(m, 0).error().code() == kette::errc::invalid_argument);
}
