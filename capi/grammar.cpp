#include "handles.h"

using kette::Result;

extern "C" {

kette_status kette_grammar_new(const kette_model* model, const char* kind, const char* src, size_t n,
                               kette_grammar** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require(kind, "kind"));
    KETTE_TRY(require_text(src, n, "src"));
    KETTE_TRY(require(out, "out"));
    auto handle = std::make_unique<kette_grammar>();
    KETTE_ASSIGN(handle->grammar, kette::ModelGrammar::make(model->loaded, kind, {src, n}));
    *out = handle.release();
    return KETTE_OK;
  });
}

void kette_grammar_ref(kette_grammar* grammar) {
  if (grammar != nullptr) grammar->references.fetch_add(1, std::memory_order_relaxed);
}

void kette_grammar_unref(kette_grammar* grammar) {
  if (grammar != nullptr && grammar->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete grammar;
}

}  // extern "C"
