// What the tests of a session's memory share: models with a measured allocator, and answers as tokens.
#pragma once

#include <atomic>
#include <new>

#include "support/golden.h"
#include "support/model.h"

namespace kette::test {

using Ids = std::vector<Token>;

// Counts bytes of KV caches; the `fail_at`-th of all takings from now on, of any kind, fails.
struct Meter {
  std::atomic<int64_t> kv_bytes{0}, kv_taken{0};
  std::atomic<int64_t> fail_at{0};
};

class MeteredAllocator final : public Allocator {
 public:
  explicit MeteredAllocator(std::shared_ptr<Meter> meter) : meter_(std::move(meter)) {}
  void* take(size_t n, size_t align, MemoryUse use) override {
    if (meter_->fail_at > 0 && --meter_->fail_at == 0) return nullptr;
    void* p = ::operator new (n, std::align_val_t{align}, std::nothrow);
    if (p != nullptr) std::memset(p, 0xff, n);  // not-a-number in every type: nothing may rely on what is there
    if (use == MemoryUse::kKvCache) meter_->kv_bytes += static_cast<int64_t>(n), ++meter_->kv_taken;
    return p;
  }
  void give_back(void* p, size_t n, size_t align, MemoryUse use) noexcept override {
    if (use == MemoryUse::kKvCache) meter_->kv_bytes -= static_cast<int64_t>(n);
    ::operator delete (p, std::align_val_t{align});
  }

 private:
  std::shared_ptr<Meter> meter_;
};

struct Metered {
  std::shared_ptr<Meter> meter = std::make_shared<Meter>();
  std::shared_ptr<LoadedModel> loaded;
};

inline Metered open_metered(const std::string& path, OpenOptions open, uint32_t n_threads = 2,
                            Isa max_isa = test_isa()) {
  Metered out;
  RuntimeOptions options;
  options.pool.n_threads = n_threads;
  options.max_isa = max_isa;
  options.allocator = std::make_unique<MeteredAllocator>(out.meter);
  out.loaded = value(LoadedModel::open(
      value(make_runtime(std::move(options))), [](const std::string& p) { return open_path(p, Access::kMap); }, path,
      open));
  return out;
}

// Sessions that take nothing from each other.
inline Metered open_metered(const std::string& path, nn::Mode mode, uint32_t n_threads = 2, Isa max_isa = test_isa()) {
  OpenOptions open;
  open.mode = mode;
  open.prefix_cache = false;
  return open_metered(path, open, n_threads, max_isa);
}

// One of each kind of attention and cache: keys and values of heads, latents, latents with a prediction module.
inline std::string llama_path() { return (golden_roots()[0] / "models/llama/gguf/llama-Q4_0.gguf").string(); }
inline std::string latent_path() { return (golden_roots()[0] / "models/dsv2lite/gguf/dsv2lite-Q4_0.gguf").string(); }
inline std::string module_path() { return (golden_roots()[0] / "models/dsv3_fp8/hf").string(); }

// Any tokens of the model's, the same for the same seed.
inline Ids some_ids(const LoadedModel& loaded, size_t n, uint32_t seed = 1) {
  Ids out(n);
  const auto vocab_size = static_cast<uint32_t>(loaded.model()->shape().vocab_size);
  for (Token& id : out) id = static_cast<Token>(((seed = seed * 1664525 + 1013904223) >> 8) % vocab_size);
  return out;
}

inline Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline GenerateOptions greedy(uint32_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.ignore_eos = true;
  options.raw_bytes = true;
  options.sampling.temperature = 0;
  return options;
}

// The answer under way, to its end; `between` after each step.
template <class F>
Ids finish_answer(Session& session, uint32_t budget_us, const F& between) {
  Ids tokens;
  for (bool done = false; !done;) {
    done = value(session.step(budget_us));
    while (const auto event = session.poll())
      if (event->token >= 0) tokens.push_back(event->token);
    between();
  }
  return tokens;
}

inline Ids ask(Session& session, const Ids& prompt, GenerateOptions options, uint32_t budget_us = 0) {
  ok(session.begin(prompt, std::move(options)));
  return finish_answer(session, budget_us, [] {});
}

// What session.save() writes; each byte once.
inline std::string saved(const Session& session) {
  SessionWriter writer = value(session.save());
  std::string bytes(writer.size(), '\xaa');
  std::string written(writer.size(), '\0');
  ok(writer.write([&](uint64_t offset, std::span<const std::byte> piece) -> Status {
    if (offset + piece.size() > bytes.size()) throw std::runtime_error("written behind the end");
    std::memcpy(bytes.data() + offset, piece.data(), piece.size());
    for (size_t i = 0; i < piece.size(); ++i) ++written[offset + i];
    return {};
  }));
  if (written != std::string(writer.size(), '\1')) throw std::runtime_error("bytes not written once");
  return bytes;
}

}  // namespace kette::test
