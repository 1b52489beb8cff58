// No allocation in a step: once a session has made some, decode steps take no memory but pages of the KV cache. This
// program's operator new counts, and so does the runtime's allocator.
#include <doctest/doctest.h>

#include <cstdlib>

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

}  // namespace

#if KETTE_COUNTS_ALLOCATIONS
namespace {

void* counted(std::size_t n, std::size_t align) {
  ++allocations;
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

}  // namespace kette::test
