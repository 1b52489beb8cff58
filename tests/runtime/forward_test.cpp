// A pass over several sequences: each gets what it gets alone, bit for bit, where rows may not depend on others.
#include "runtime/forward.h"

#include <doctest/doctest.h>

#include <cmath>

#include "support/folder.h"
#include "support/gguf_writer.h"
#include "support/memory.h"

using namespace kette;
using namespace kette::test;

namespace {

struct Part {
  size_t held, rows, wanted;
};

// The numbers that a pass gives for `parts`, after what they hold; `budget`: it is interrupted at every safe point.
std::vector<float> run(const LoadedModel& loaded, const std::vector<Part>& parts, size_t seed, bool budget) {
  const ModelShape& shape = loaded.model()->shape();
  Forward forward(*loaded.model(), loaded.runtime(), loaded.mode());
  std::vector<nn::KvCache> caches;
  std::vector<Ids> ids;
  std::vector<Forward::Input> inputs;
  size_t wanted = 0;
  for (const Part& p : parts) {
    caches.push_back(value(nn::KvCache::make(shape.kv, nn::KvType::kF16, 512)));
    ids.push_back(some_ids(loaded, p.held + p.rows, static_cast<uint32_t>(seed++)));
    wanted += p.wanted;
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::span<const Token> all(ids[i]);
    if (parts[i].held > 0) {
      forward.begin(all.first(parts[i].held), caches[i], 0, nullptr, 0);
      REQUIRE(value(forward.run(std::nullopt, nullptr)));
    }
    inputs.push_back({all.subspan(parts[i].held), &caches[i], parts[i].held, parts[i].wanted});
  }
  std::vector<float> logits(wanted * shape.vocab_size);
  forward.begin(inputs, logits.data());
  size_t stops = 0;
  while (!value(forward.run(budget ? std::optional(Clock::now()) : std::nullopt, nullptr))) ++stops;
  if (budget) CHECK(stops > 20);
  return logits;
}

void check(const LoadedModel& loaded, const std::vector<Part>& parts) {
  std::vector<float> expected;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::vector<float> one = run(loaded, {parts[i]}, i, false);
    expected.insert(expected.end(), one.begin(), one.end());
  }
  for (const bool budget : {false, true}) {
    CAPTURE(budget);
    CHECK(run(loaded, parts, 0, budget) == expected);
  }
}

}  // namespace

TEST_CASE("sequences in one pass have the logits that they have alone") {
  const auto root = golden_roots()[0] / "models";
  for (const std::string& path : {llama_path(), latent_path(), module_path(),
                                  (root / "qwen2moe/gguf/qwen2moe-Q8_0.gguf").string(), (root / "qwen3/hf").string()})
    for (const nn::Mode mode : {nn::Mode::kExact, nn::Mode::kDeterministic}) {
      CAPTURE(path);
      CAPTURE(static_cast<int>(mode));
      const auto loaded = open_model(path, mode, 3);
      // Contexts of one span and of several; single tokens, guesses, a stretch of a prompt, and one that wants nothing.
      check(*loaded, {{0, 5, 1}, {300, 1, 1}, {70, 3, 3}, {128, 40, 0}, {63, 2, 1}, {400, 1, 1}});
      check(*loaded, std::vector<Part>(17, {9, 1, 1}));
    }
}

TEST_CASE("in fast mode so many rows as are few do not depend on each other") {
  for (const std::string& path : {llama_path(), latent_path(), module_path()}) {
    CAPTURE(path);
    check(*open_model(path, nn::Mode::kFast, 2), {{9, 1, 1}, {300, 1, 1}, {70, 4, 4}, {20, 2, 1}});
  }
}

TEST_CASE("a weight that is no number is seen in the logits, in every mode and for any rows") {
  const Folder folder;
  for (const std::string& path : {llama_path(), latent_path()}) {
    CAPTURE(path);
    std::string bytes = read_file(path);
    const Gguf gguf = value(open_gguf(bytes));
    const GgufTensor* damaged = gguf.find("blk.0.attn_output.weight");
    REQUIRE(damaged != nullptr);
    bytes.replace(damaged->offset, 2, "\x00\x7c", 2);  // the first block's scale: infinite
    write_file(folder / "damaged.gguf", bytes);
    for (const nn::Mode mode : {nn::Mode::kExact, nn::Mode::kDeterministic, nn::Mode::kFast})
      for (const size_t rows : {1, 3, 17, 80}) {
        CAPTURE(static_cast<int>(mode));
        CAPTURE(rows);
        const auto loaded = open_model(folder / "damaged.gguf", mode);
        for (const float logit : run(*loaded, {{0, rows, 1}}, 7, false)) CHECK_FALSE(std::isfinite(logit));
      }
  }
}
