#include "handles.h"

using kette::Result;

namespace kette::capi {
namespace {

// An entry that hands `n` bytes of text to one of the prompt's setters.
kette_status with_text(kette_chat* chat, const char* text, size_t n, kette_error** err,
                       Status (ChatPrompt::*set)(std::string_view)) {
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(chat, "chat"));
    KETTE_TRY(require_text(text, n, "text"));
    KETTE_TRY(((*chat->prompt).*set)({text, n}));
    return KETTE_OK;
  });
}

}  // namespace
}  // namespace kette::capi

extern "C" {

kette_status kette_chat_new(kette_model* model, kette_chat** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require(out, "out"));
    auto handle = std::make_unique<kette_chat>();
    KETTE_ASSIGN(handle->prompt, kette::ChatPrompt::make(model->loaded));
    *out = handle.release();
    return KETTE_OK;
  });
}

kette_status kette_chat_add(kette_chat* chat, const char* role, const char* text, size_t n, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(chat, "chat"));
    KETTE_TRY(require(role, "role"));
    KETTE_TRY(require_text(text, n, "text"));
    KETTE_TRY(chat->prompt->add(role, {text, n}));
    return KETTE_OK;
  });
}

kette_status kette_chat_add_json(kette_chat* chat, const char* json, size_t n, kette_error** err) {
  return kette::capi::with_text(chat, json, n, err, &kette::ChatPrompt::add_json);
}
kette_status kette_chat_set_tools_json(kette_chat* chat, const char* json, size_t n, kette_error** err) {
  return kette::capi::with_text(chat, json, n, err, &kette::ChatPrompt::set_tools_json);
}
kette_status kette_chat_set_variables_json(kette_chat* chat, const char* json, size_t n, kette_error** err) {
  return kette::capi::with_text(chat, json, n, err, &kette::ChatPrompt::set_variables_json);
}
kette_status kette_chat_set_now(kette_chat* chat, const char* iso8601, size_t n, kette_error** err) {
  return kette::capi::with_text(chat, iso8601, n, err, &kette::ChatPrompt::set_now);
}

kette_status kette_chat_render(const kette_chat* chat, uint32_t flags, kette_buf** text, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(chat, "chat"));
    KETTE_TRY(require(text, "text"));
    KETTE_TRY(require_flags(flags, KETTE_CHAT_NO_GENERATION_PROMPT, "flags"));
    KETTE_ASSIGN(const kette::RenderedChat rendered,
                 chat->prompt->render((flags & KETTE_CHAT_NO_GENERATION_PROMPT) == 0));
    *text = make_buf(rendered.text());
    return KETTE_OK;
  });
}

void kette_chat_free(kette_chat* chat) { delete chat; }

}  // extern "C"
