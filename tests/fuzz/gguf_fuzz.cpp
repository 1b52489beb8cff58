// A GGUF file: opened as a model; where that works, two tokens evaluated and a text encoded.
#include "fuzz/target.h"
#include "runtime/session.h"

namespace {

std::shared_ptr<kette::Runtime> one_runtime() {
  kette::RuntimeOptions options;
  options.pool.n_threads = 1;
  auto made = kette::make_runtime(std::move(options));
  kette::test::must(made.ok());
  return *made;
}

void use(const std::shared_ptr<kette::LoadedModel>& loaded) {
  if (auto tokenizer = loaded->tokenizer(); tokenizer.ok()) {
    const auto ids = (*tokenizer)->encode("Hello, w\xC3\xB6rld 123\n", true, true);
    if (ids.ok()) kette::test::must((*tokenizer)->decode(*ids).ok());
  }
  if (loaded->model() == nullptr || loaded->model()->shape().vocab_size < 2) return;
  auto session = kette::Session::make(loaded, 8, std::nullopt);
  if (!session.ok()) return;
  std::vector<float> logits(loaded->model()->shape().vocab_size);
  const kette::Token tokens[] = {0, 1};
  (void)(*session)->eval(tokens, logits.data(), 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto runtime = one_runtime();
  kette::OpenOptions options;
  options.memory_budget = 64 << 20;
  auto loaded = kette::LoadedModel::open(
      runtime, kette::open_memory({reinterpret_cast<const std::byte*>(data), size}, "f.gguf"), {}, options);
  if (loaded.ok()) use(*loaded);
  return 0;
}
