// A LoRA adapter for the tiny Llama: a GGUF, or an adapter_config.json and behind a zero byte a safetensors file; where
// it opens, two tokens evaluated with it, and again without: the bits of before.
#include "fuzz/target.h"
#include "support/golden.h"
#include "support/model.h"

namespace {

using namespace kette;

struct Tiny {
  std::shared_ptr<LoadedModel> loaded = test::open_model(
      (test::golden_roots()[0] / "models/llama/gguf/llama-Q4_0.gguf").string(), nn::Mode::kDeterministic, 1);
  std::unique_ptr<Session> session = test::open_session(loaded, 8);
  std::vector<float> before = test::eval_all(*session, {0, 1});
};

std::unique_ptr<Source> memory(std::string_view bytes, const std::string& name) {
  return open_memory(std::as_bytes(std::span(bytes.data(), bytes.size())), name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tiny tiny;
  const std::string_view bytes = test::as_text(data, size);
  const bool gguf = bytes.starts_with("GGUF");
  const size_t zero = std::min(bytes.find('\0'), bytes.size() - (bytes.empty() ? 0 : 1));
  const OpenFile open = [&](const std::string& path) -> Result<std::unique_ptr<Source>> {
    if (gguf && path == "in") return memory(bytes, path);
    if (!gguf && path == "in/adapter_config.json") return memory(bytes.substr(0, zero), path);
    if (!gguf && path == "in/adapter_model.safetensors" && !bytes.empty()) return memory(bytes.substr(zero + 1), path);
    return error(Code::kNotFound, "{}: not there", path);
  };
  auto adapter = Adapter::open(tiny.loaded, open, "in", nullptr);
  test::must(adapter.ok() != !adapter.status().message().empty());
  if (!adapter.ok()) return 0;
  test::must(tiny.session->set_adapter(std::move(*adapter), 1).ok());
  (void)test::eval_all(*tiny.session, {0, 1});
  test::must(tiny.session->clear_adapters().ok());
  test::must(test::eval_all(*tiny.session, {0, 1}) == tiny.before);
  return 0;
}
