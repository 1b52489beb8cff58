#include "runtime/adapter.h"

#include "handles.h"

using kette::Result;

extern "C" {

kette_status kette_adapter_open(kette_model* model, const char* utf8_path, const kette_model_params* params,
                                kette_adapter** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_ASSIGN(const kette_model_params p, read_struct(params, "kette_model_params"));
    KETTE_ASSIGN(const kette::OpenFile files, host_files(p.vfs, (p.flags & KETTE_MODEL_READ) == 0));
    KETTE_TRY(require_flags(p.flags, kModelFlags, "kette_model_params.flags"));
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require(utf8_path, "utf8_path"));
    KETTE_TRY(require(out, "out"));
    const std::shared_ptr<const kette::CancelFlag> cancel = p.cancel != nullptr ? p.cancel->flag : nullptr;
    auto handle = std::make_unique<kette_adapter>();
    KETTE_ASSIGN(handle->adapter, kette::Adapter::open(model->loaded, files, utf8_path, cancel.get()));
    *out = handle.release();
    return KETTE_OK;
  });
}

void kette_adapter_ref(kette_adapter* adapter) {
  if (adapter != nullptr) adapter->references.fetch_add(1, std::memory_order_relaxed);
}

void kette_adapter_unref(kette_adapter* adapter) {
  if (adapter != nullptr && adapter->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete adapter;
}

kette_status kette_session_set_adapter(kette_session* session, kette_adapter* adapter, float scale, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(require_live(adapter, "adapter"));
    KETTE_TRY(s.set_adapter(adapter->adapter, scale));
    return KETTE_OK;
  });
}

kette_status kette_session_clear_adapters(kette_session* session, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(s.clear_adapters());
    return KETTE_OK;
  });
}

}  // extern "C"
