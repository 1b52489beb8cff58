// No allocation in a step: once a session has made some, decode steps take no memory but pages of the KV cache. This
// program's operator new counts, and so does the runtime's allocator. And what comes of a step where one fails.
#include <doctest/doctest.h>

#include <cstdlib>

#include "runtime/scheduler.h"
#include "support/memory.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KETTE_COUNTS_ALLOCATIONS 0  // the sanitizers' own operators are wanted more
#elif defined(__has_feature)
#define KETTE_COUNTS_ALLOCATIONS (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define KETTE_COUNTS_ALLOCATIONS 1
#endif

namespace {

std::atomic<uint64_t> allocations{0};
std::atomic<uint64_t> refused{0};  // which of them; 0: none

}  // namespace

#if KETTE_COUNTS_ALLOCATIONS
namespace {

void* counted(std::size_t n, std::size_t align) {
  if (++allocations == refused) throw std::bad_alloc();
  void* p = std::aligned_alloc(align, (n + align - 1) / align * align + (n == 0 ? align : 0));
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(std::size_t n) { return counted(n, alignof(std::max_align_t)); }
void* operator new[](std::size_t n) { return counted(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
#endif

namespace kette::test {
namespace {

constexpr size_t kPage = KETTE_KV_PAGE;

// Without generated code: oneDNN takes a small vector in each multiplication of a panel, which is not ours to mend.
Metered open_counted(const std::string& path, nn::Mode mode) {
  Metered out;
  RuntimeOptions options;
  options.pool.n_threads = 2;
  options.max_isa = test_isa();
  options.jit = false;
  options.allocator = std::make_unique<MeteredAllocator>(out.meter);
  OpenOptions open;
  open.mode = mode;
  open.prefix_cache = false;
  out.loaded = value(LoadedModel::open(
      value(make_runtime(std::move(options))), [](const std::string& p) { return open_path(p, Access::kMap); }, path,
      open));
  return out;
}

// Allocations of decode steps, one after another.
uint64_t of_steps(Session& session, const Ids& ids, std::vector<float>& logits) {
  const uint64_t before = allocations;
  for (const Token& id : ids) ok(session.eval({&id, 1}, logits.data(), 1));
  return allocations - before;
}

// Whatever it was that found no memory: no session is left halfway.
void fail_everywhere(const std::string& path) {
  const Metered metered = open_counted(path, nn::Mode::kDeterministic);
  const auto ask = [&](Session& session, size_t i) {
    GenerateOptions options = greedy(4);
    options.prompt_only = i == 0;
    return session.begin(some_ids(*metered.loaded, 5 + 10 * i, static_cast<uint32_t>(i)), std::move(options));
  };
  const auto hear = [](Session& session) {
    Ids out;
    while (const auto event = session.poll())
      if (event->token >= 0) out.push_back(event->token);
    return out;
  };
  std::vector<Ids> expected;
  for (size_t i = 0; i < 3; ++i) {
    const auto session = open_session(metered.loaded);
    ok(ask(*session, i));
    for (bool done = false; !done;) done = value(session->step(0));
    expected.push_back(hear(*session));
  }
  // `left`: how many allocations later one fails; 0: none does.
  const auto guarded = [](uint64_t& left, auto&& work) {
    refused = left > 0 ? allocations + left : 0;
    bool done = false;
    try {
      done = value(work());
    } catch (const std::bad_alloc&) {
    }
    left = refused > allocations ? refused - allocations : 0;
    refused = 0;
    return done;
  };
  for (uint64_t at = 1;; ++at) {
    REQUIRE(at < 5000);
    CAPTURE(at);
    uint64_t left = at;
    std::vector<std::unique_ptr<Session>> sessions;
    const auto scheduler = value(Scheduler::make(metered.loaded, 4));
    for (size_t i = 0; i < 3; ++i) sessions.push_back(open_session(metered.loaded));
    for (const bool again : {false, true}) {
      for (size_t i = 0; i < 3; ++i) ok(ask(*sessions[i], i));
      guarded(left, [&] { return sessions[0]->step(0); });  // alone, and then among others
      for (auto& s : sessions) ok(scheduler->add(*s));
      while (!guarded(left, [&] { return scheduler->step(0); })) {
      }
      for (size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        const Ids got = hear(*sessions[i]);
        CHECK(got.size() <= expected[i].size());
        CHECK(std::equal(got.begin(), got.end(), expected[i].begin()));
        if (again) CHECK(got == expected[i]);
        ok(scheduler->remove(*sessions[i]));
      }
      if (!again && left > 0) {  // it took no more
        CHECK(at > 50);
        return;
      }
    }
  }
}

}  // namespace

TEST_CASE("a decode step allocates nothing") {
  if (KETTE_COUNTS_ALLOCATIONS == 0) return;
  for (const std::string& path : {llama_path(), latent_path(), module_path()})
    for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kDeterministic, nn::Mode::kExact}) {
      CAPTURE(path);
      CAPTURE(static_cast<int>(mode));
      const Metered metered = open_counted(path, mode);
      const auto session = open_session(metered.loaded);
      std::vector<float> logits(metered.loaded->model()->shape().vocab_size);
      // Into the sixth page, so that latents are attended to in two spans.
      const uint64_t before = allocations;
      ok(session->eval(some_ids(*metered.loaded, 5 * kPage + 1), logits.data(), 1));
      CHECK(allocations > before);                               // they are counted
      of_steps(*session, some_ids(*metered.loaded, 1), logits);  // warms up
      CHECK(of_steps(*session, some_ids(*metered.loaded, kPage - 2), logits) == 0);
      const int64_t pages = metered.meter->kv_taken;
      of_steps(*session, some_ids(*metered.loaded, 1), logits);
      CHECK(metered.meter->kv_taken == pages + 1);
      CHECK(of_steps(*session, some_ids(*metered.loaded, kPage - 1), logits) == 0);
      CHECK(metered.meter->kv_taken == pages + 1);
    }
}

TEST_CASE("neither does a prefill of as many tokens as one before") {
  if (KETTE_COUNTS_ALLOCATIONS == 0) return;
  for (const std::string& path : {llama_path(), latent_path()}) {
    CAPTURE(path);
    const Metered metered = open_counted(path, nn::Mode::kFast);
    const auto session = open_session(metered.loaded);
    std::vector<float> logits(metered.loaded->model()->shape().vocab_size);
    const Ids prompt = some_ids(*metered.loaded, 100);
    ok(session->eval(prompt, logits.data(), 1));
    ok(session->rewind(0));
    ok(session->eval(prompt, logits.data(), 1));
    ok(session->rewind(0));
    const uint64_t before = allocations;
    ok(session->eval(prompt, logits.data(), 1));
    CHECK(allocations == before);
  }
}

TEST_CASE("where the program itself has no memory an answer goes on or ends, and the next is as ever") {
  if (KETTE_COUNTS_ALLOCATIONS == 0) return;
  for (const std::string& path : {llama_path(), module_path()}) {
    CAPTURE(path);
    fail_everywhere(path);
  }
}

}  // namespace kette::test
