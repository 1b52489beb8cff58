// Beginnings that sessions of a model have in common are evaluated once, and nobody can tell.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "runtime/prefix_index.h"
#include "support/memory.h"

using namespace kette;
using namespace kette::test;

namespace {

constexpr size_t kPage = KETTE_KV_PAGE;
const std::string kModels[] = {llama_path(), latent_path(), module_path()};

Ids part(const Ids& ids, size_t from, size_t to) {
  return Ids(ids.begin() + static_cast<ptrdiff_t>(from), ids.begin() + static_cast<ptrdiff_t>(to));
}

Metered open_sharing(const std::string& path, nn::Mode mode) {
  OpenOptions options;
  options.mode = mode;
  return open_metered(path, options);
}

GenerateOptions guessing(Speculation speculation, uint32_t max_tokens = 12) {
  GenerateOptions options = greedy(max_tokens);
  options.speculation = speculation;
  return options;
}

PrefixIndex::Page page(int32_t next = -1) { return {nn::KvPage::make(100, nullptr), next}; }

}  // namespace

TEST_CASE("prefix index: the longest beginning of the same tokens, kind by kind") {
  PrefixIndex index(1000);
  const PrefixIndex::Kind f16{nn::KvType::kF16, ""}, f32{nn::KvType::kF32, ""}, adapted{nn::KvType::kF16, "a"};
  Ids tokens(3 * kPage + 10);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<Token>(i);
  const std::vector<PrefixIndex::Page> pages{page(), page(), page()};
  CHECK(index.find(f16, tokens).empty());
  index.add(f16, tokens, pages);
  const auto found = index.find(f16, tokens);
  REQUIRE(found.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(found[i].page == pages[i].page);
  CHECK(index.find(f32, tokens).empty());
  CHECK(index.find(adapted, tokens).empty());
  CHECK(index.find(f16, part(tokens, 0, 3 * kPage - 1)).size() == 2);
  CHECK(index.find(f16, part(tokens, 0, kPage - 1)).empty());
  CHECK(index.find(f16, part(tokens, kPage, 3 * kPage)).empty());  // not the beginning
  Ids other = tokens;
  other[kPage + 5] = 7;
  CHECK(index.find(f16, other).size() == 1);

  // What is there stays, unless the module's layer is new.
  const std::vector<PrefixIndex::Page> again{page(5), page()};
  index.add(f16, tokens, again);
  const auto after = index.find(f16, tokens);
  REQUIRE(after.size() == 3);
  CHECK(after[0].page == again[0].page);
  CHECK(after[0].next == 5);
  CHECK(after[1].page == pages[1].page);
}

TEST_CASE("prefix index: pages in use stay, of the others those used last and beginnings before ends") {
  PrefixIndex index(250);
  const PrefixIndex::Kind kind{nn::KvType::kF16, ""};
  const auto beginning = [](Token first) { return Ids(2 * kPage, first); };
  std::vector<PrefixIndex::Page> held{page(), page()};
  index.add(kind, beginning(1), held);
  index.add(kind, beginning(2), std::vector{page(), page()});
  index.add(kind, beginning(3), std::vector{page(), page()});
  CHECK(index.find(kind, beginning(2)).size() == 2);  // used after 3
  CHECK(index.kept_bytes() == 400);
  index.trim();
  CHECK(index.kept_bytes() == 200);
  CHECK(index.find(kind, beginning(1)).size() == 2);
  CHECK(index.find(kind, beginning(2)).size() == 2);
  CHECK(index.find(kind, beginning(3)).empty());
  held.clear();
  index.trim();
  CHECK(index.kept_bytes() == 200);
  index.lower_limit(150);
  CHECK(index.kept_bytes() == 100);
  CHECK(index.find(kind, beginning(2)).size() == 1);
  index.lower_limit(1000);
  CHECK(index.limit() == 150);
  index.lower_limit(0);
  CHECK(index.kept_bytes() == 0);
}

// However many pages are known: what a session's end costs is in proportion to what is in use and what it drops.
TEST_CASE("prefix index: the end of a session is short, with many pages known") {
  constexpr size_t kKnown = 32768, kOwn = 256;
  PrefixIndex index(100 * kKnown);
  const PrefixIndex::Kind kind{nn::KvType::kF16, ""};
  const auto made = [](Token first, size_t n) {
    Ids tokens(n * kPage);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = first + static_cast<Token>(i);
    return tokens;
  };
  const auto add = [&](Token first, size_t n) {
    std::vector<PrefixIndex::Page> pages(n);
    for (auto& p : pages) p = page();
    index.add(kind, made(first, n), pages);
  };
  add(1, kKnown);
  index.trim();
  CHECK(index.kept_bytes() == 100 * kKnown);
  add(2, kOwn);
  const auto began = std::chrono::steady_clock::now();
  index.trim();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  MESSAGE("trim: " << took.count() << " ms");
  CHECK(took.count() < 50);
  CHECK(index.kept_bytes() == 100 * kKnown);
  CHECK(index.find(kind, made(2, kOwn)).size() == kOwn);
  CHECK(index.find(kind, made(1, kKnown)).size() == kKnown - kOwn);  // from its end
}

TEST_CASE("prefix index: a kind goes with its last page, and comes anew") {
  PrefixIndex index(100);
  const auto scaled = [](int i) { return PrefixIndex::Kind{nn::KvType::kF16, "adapter * " + std::to_string(i)}; };
  const Ids tokens(2 * kPage, 7);
  CHECK(index.kinds() == 0);
  index.add(scaled(0), tokens, {});
  CHECK(index.kinds() == 0);
  const std::vector<PrefixIndex::Page> held{page(), page()};
  index.add(scaled(0), tokens, held);
  for (int i = 1; i < 100; ++i) {
    index.add(scaled(i), tokens, std::vector{page(), page()});
    index.trim();
    CHECK(index.kinds() == 2);
    CHECK(index.find(scaled(i), tokens).size() == 1);
    CHECK(index.find(scaled(i - 1), tokens).size() == (i == 1 ? 2 : 0));
  }
  CHECK(index.kept_bytes() == 100);
  index.add(scaled(5), tokens, std::vector{page(), page()});
  CHECK(index.find(scaled(5), tokens).size() == 2);
  index.lower_limit(0);
  CHECK(index.kinds() == 1);
  CHECK(index.find(scaled(0), tokens).size() == 2);
}

TEST_CASE("a second session takes what the first evaluated, with the same bits") {
  for (const std::string& path : kModels)
    for (const nn::Mode mode : {nn::Mode::kDeterministic, nn::Mode::kExact})
      for (const size_t n : {size_t{63}, size_t{64}, size_t{65}, size_t{128}, size_t{150}}) {
        CAPTURE(path);
        CAPTURE(static_cast<int>(mode));
        CAPTURE(n);
        const Metered m = open_sharing(path, mode), plain = open_metered(path, mode);
        const Ids prompt = some_ids(*m.loaded, n);
        const auto first = open_session(m.loaded), second = open_session(m.loaded), apart = open_session(plain.loaded);
        const auto off = guessing(Speculation::kOff);
        const Ids expected = ask(*apart, prompt, off);
        CHECK(ask(*first, prompt, off) == expected);
        CHECK(first->metrics().cached_tokens == 0);
        const int64_t before = m.meter->kv_bytes;
        CHECK(ask(*second, prompt, off) == expected);
        CHECK(second->metrics().cached_tokens == std::min(n / kPage * kPage, n - 1));
        const auto page = static_cast<int64_t>(first->kv_bytes() / nn::kv_pages(first->length()));
        const size_t taken = (n - 1) / kPage;  // the page with the last token is written to
        CHECK(m.meter->kv_bytes - before == page * static_cast<int64_t>(nn::kv_pages(second->length()) - taken));
        // Bit by bit, in all of them.
        const Ids more = some_ids(*m.loaded, 30, 4);
        const std::vector<float> logits = eval_all(*apart, more);
        CHECK(eval_all(*first, more) == logits);
        CHECK(eval_all(*second, more) == logits);
        // Another continuation leaves the first two alone.
        const auto third = open_session(m.loaded);
        ask(*third, part(prompt, 0, n - 1) + Ids{prompt[n - 1] == 9 ? 10 : 9}, off);
        CHECK(eval_all(*first, {3, 4}) == eval_all(*apart, {3, 4}));
      }
}

TEST_CASE("a session that goes on is taken from as well, and after it has ended") {
  const Metered m = open_sharing(llama_path(), nn::Mode::kDeterministic),
                plain = open_metered(llama_path(), nn::Mode::kDeterministic);
  const Ids prompt = some_ids(*m.loaded, 40);
  auto first = open_session(m.loaded);
  const Ids answer = ask(*first, prompt, greedy(100));
  const Ids whole = prompt + answer;
  first.reset();
  CHECK(m.meter->kv_bytes > 0);
  const auto second = open_session(m.loaded);
  CHECK(ask(*second, whole, greedy(10)) == ask(*open_session(plain.loaded), whole, greedy(10)));
  CHECK(second->metrics().cached_tokens == 128);
  // The session's own and then others': back to its first tokens and on another way that is known.
  ok(second->rewind(5));
  ask(*second, whole, greedy(10));
  CHECK(second->metrics().cached_tokens == 128);
}

TEST_CASE("what is kept after sessions have ended is bounded, and none where it is switched off") {
  OpenOptions options;
  options.mode = nn::Mode::kDeterministic;
  {
    const Metered probe = open_metered(llama_path(), nn::Mode::kDeterministic);
    const auto session = open_session(probe.loaded);
    eval_all(*session, {1});
    options.prefix_cache_bytes = session->kv_bytes() * 3;  // pages
  }
  const Metered m = open_metered(llama_path(), options);
  const auto page = static_cast<int64_t>(options.prefix_cache_bytes / 3);
  for (uint32_t seed = 1; seed < 6; ++seed) {
    ask(*open_session(m.loaded), some_ids(*m.loaded, 140, seed), greedy(2));
    CHECK(m.meter->kv_bytes <= 3 * page);
  }
  CHECK(m.meter->kv_bytes == 3 * page);
  const auto session = open_session(m.loaded);
  ask(*session, some_ids(*m.loaded, 140, 5), greedy(2));
  CHECK(session->metrics().cached_tokens == 128);
  ask(*session, some_ids(*m.loaded, 140, 4), greedy(2));
  CHECK(session->metrics().cached_tokens == 64);  // one page was left of it
  ask(*session, some_ids(*m.loaded, 140, 1), greedy(2));
  CHECK(session->metrics().cached_tokens == 0);

  const Metered off = open_metered(llama_path(), nn::Mode::kDeterministic);
  ask(*open_session(off.loaded), some_ids(*off.loaded, 140), greedy(2));
  CHECK(off.meter->kv_bytes == 0);
  const auto fresh = open_session(off.loaded);
  ask(*fresh, some_ids(*off.loaded, 140), greedy(2));
  CHECK(fresh->metrics().cached_tokens == 0);
}

TEST_CASE("the prediction module's layer is taken along where it was filled with the same tokens") {
  const Metered m = open_sharing(module_path(), nn::Mode::kDeterministic),
                plain = open_metered(module_path(), nn::Mode::kDeterministic);
  const Ids prompt = some_ids(*m.loaded, 150);
  const auto with_module = guessing(Speculation::kLookAhead, 40), automatic = guessing(Speculation::kAuto, 40);
  const Ids expected = ask(*open_session(plain.loaded), prompt, with_module);

  // From a session without it nothing is taken for one that needs it, and everything by one that may do without.
  const auto without = open_session(m.loaded);
  CHECK(ask(*without, prompt, guessing(Speculation::kOff, 40)) == expected);
  const auto apart = open_session(m.loaded);
  CHECK(ask(*apart, prompt, automatic) == expected);
  CHECK(apart->metrics().cached_tokens == 128);
  CHECK(apart->metrics().drafted_tokens == 0);
  const auto first = open_session(m.loaded);
  CHECK(ask(*first, prompt, with_module) == expected);
  CHECK(first->metrics().cached_tokens == 0);
  CHECK(first->metrics().drafted_tokens > 0);

  // From one with it, also the module's layer has the bits of one made anew.
  for (const Speculation speculation : {Speculation::kLookAhead, Speculation::kAuto}) {
    const auto second = open_session(m.loaded), fresh = open_session(plain.loaded);
    CHECK(ask(*second, prompt, guessing(speculation, 3)) == part(expected, 0, 3));
    CHECK(second->metrics().cached_tokens == 128);
    CHECK(ask(*fresh, prompt, guessing(speculation, 3)) == part(expected, 0, 3));
    CHECK(saved(*second) == saved(*fresh));
  }
  // Where another token follows a page, the module's last position of it is made anew.
  const Ids other = part(prompt, 0, 128) + Ids{prompt[128] == 9 ? 10 : 9} + part(prompt, 0, 20);
  const auto branch = open_session(m.loaded), fresh = open_session(plain.loaded);
  CHECK(ask(*branch, other, guessing(Speculation::kLookAhead, 3)) ==
        ask(*fresh, other, guessing(Speculation::kLookAhead, 3)));
  CHECK(branch->metrics().cached_tokens == 127);
  CHECK(saved(*branch) == saved(*fresh));
}

TEST_CASE("what was loaded is not handed on") {
  const Metered m = open_sharing(llama_path(), nn::Mode::kDeterministic);
  const Ids prompt = some_ids(*m.loaded, 150);
  std::string bytes;
  {
    const Metered elsewhere = open_metered(llama_path(), nn::Mode::kDeterministic);
    const auto session = open_session(elsewhere.loaded);
    eval_all(*session, part(prompt, 0, 100));
    bytes = saved(*session);
  }
  const auto session = open_session(m.loaded), other = open_session(m.loaded);
  ok(session->load(*open_memory(std::as_bytes(std::span(bytes)), "saved")));
  ask(*session, prompt, greedy(4));
  CHECK(session->metrics().cached_tokens == 100);
  const auto fork = value(session->fork());
  ask(*fork, prompt, greedy(4));
  ask(*other, prompt, greedy(4));
  CHECK(other->metrics().cached_tokens == 0);
  ok(session->rewind(0));
  ask(*session, prompt, greedy(4));  // taken from `other`, which evaluated it
  CHECK(session->metrics().cached_tokens == 128);
}

TEST_CASE("many sessions at once take from and add to the same index") {
  for (const std::string& path : {llama_path(), module_path()}) {
    OpenOptions options;
    options.mode = nn::Mode::kDeterministic;
    options.prefix_cache_bytes = 1 << 19;
    const Metered m = open_metered(path, options, 1);
    const Metered plain = open_metered(path, nn::Mode::kDeterministic);
    const Ids base = some_ids(*m.loaded, 70);
    std::vector<Ids> prompts, expected;
    for (uint32_t i = 0; i < 3; ++i) {
      prompts.push_back(base + some_ids(*m.loaded, 70 + i, 2 + i));
      expected.push_back(ask(*open_session(plain.loaded), prompts.back(), greedy(6)));
    }
    std::vector<int> wrong(4);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < wrong.size(); ++t)
      threads.emplace_back([&, t] {
        for (size_t round = 0; round < 4; ++round) {
          const size_t which = (t + round) % prompts.size();
          auto session = open_session(m.loaded);
          wrong[t] += ask(*session, prompts[which], greedy(6)) != expected[which];
          const auto fork = value(session->fork());
          session.reset();
          wrong[t] += ask(*fork, prompts[(which + 1) % 3], greedy(6)) != expected[(which + 1) % 3];
        }
      });
    for (std::thread& t : threads) t.join();
    CHECK(wrong == std::vector<int>(4));
  }
}

TEST_CASE("the cache of prefixes is within the budget: a wanted size is planned, the default takes what is left") {
  OpenOptions options;
  const auto open = [&] {
    return LoadedModel::open(
        make_test_runtime(), [](const std::string& p) { return open_path(p, Access::kMap); }, llama_path(), options);
  };
  const uint64_t all = value(open())->info_number("prefix_cache_bytes").value_or(0);
  CHECK(all == 64 << 20);
  OpenOptions bare;
  bare.prefix_cache = false;
  const auto plan = [&](const OpenOptions& o) {
    return value(LoadedModel::open(
                     make_test_runtime(), [](const std::string& p) { return open_path(p, Access::kMap); }, llama_path(),
                     o))
        ->plan()
        .all();
  };
  const uint64_t needed = plan(bare);
  options.memory_budget = needed + 1000;
  const auto loaded = value(open());
  CHECK(loaded->prefixes()->limit() == 1000);
  CHECK(Session::make(loaded, 0, std::nullopt).ok());
  options.prefix_cache_bytes = 1000;
  CHECK(plan(options) == needed + 1000);
  CHECK(open().ok());
  options.prefix_cache_bytes = 1001;
  CHECK(open().status().code() == Code::kBudget);
  CHECK(open().status().message().find("1001") != std::string::npos);
  options.prefix_cache = false;
  CHECK(open().status().code() == Code::kInvalidArgument);
}
