// A chat template, and behind a zero byte the messages (a JSON list).
#include "chat/chat_template.h"
#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = kette::test::as_text(data, size);
  const size_t zero = text.find('\0');
  const auto made = kette::ChatTemplate::compile(text.substr(0, zero));
  if (!made.ok()) return 0;
  kette::ChatRequest request;
  request.messages_json = R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b>"},)"
                          R"({"role": "assistant", "content": "x</think>y", "tool_calls": [{"type": "function",)"
                          R"("function": {"name": "f", "arguments": {"a": [1, 2.5, null, true]}}}]}])";
  if (zero != text.npos) request.messages_json = text.substr(zero + 1);
  request.tools_json = R"([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])";
  request.now_iso = "2026-01-02T03:04:05";
  request.bos_token = "<s>";
  request.eos_token = "</s>";
  const auto rendered = made->render(request);
  if (!rendered.ok()) return 0;
  size_t bytes = 0;
  for (const kette::TextSpan& span : rendered->spans()) bytes += span.text.size();
  kette::test::must(bytes == rendered->text().size());
  return 0;
}
