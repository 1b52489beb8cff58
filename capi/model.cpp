#include "handles.h"

using kette::Code;
using kette::Result;

namespace kette::capi {
namespace {

// Calls the host's release when the memory is no longer read.
class HostMemory final : public Source {
 public:
  HostMemory(const void* data, size_t n, std::shared_ptr<void> owner)
      : bytes_(open_memory({static_cast<const std::byte*>(data), n}, "memory")), owner_(std::move(owner)) {}
  const std::string& name() const override { return bytes_->name(); }
  uint64_t size() const override { return bytes_->size(); }
  Status read_at(uint64_t offset, std::span<std::byte> out) const override { return bytes_->read_at(offset, out); }
  const std::byte* map(uint64_t offset, uint64_t size) const override { return bytes_->map(offset, size); }

 private:
  std::unique_ptr<Source> bytes_;
  std::shared_ptr<void> owner_;
};

struct OpenParams {
  OpenOptions options;
  OpenFile files;
  std::shared_ptr<const CancelFlag> cancel;
};

Result<OpenParams> open_params(const kette_model_params* params) {
  KETTE_ASSIGN(const kette_model_params p, read_struct(params, "kette_model_params"));
  OpenParams open;
  open.options.map = (p.flags & KETTE_MODEL_READ) == 0;
  KETTE_ASSIGN(open.files,
               host_files(p.vfs, open.options.map));  // first: from here on its destroy is called whatever happens
  KETTE_TRY(require_flags(p.flags, kModelFlags, "kette_model_params.flags"));
  if ((p.flags & KETTE_MODEL_EXACT) != 0 && (p.flags & KETTE_MODEL_DETERMINISTIC) != 0)
    return error(Code::kInvalidArgument,
                 "KETTE_MODEL_EXACT and KETTE_MODEL_DETERMINISTIC exclude each other; exact is deterministic");
  open.options.mode = (p.flags & KETTE_MODEL_EXACT) != 0           ? nn::Mode::kExact
                      : (p.flags & KETTE_MODEL_DETERMINISTIC) != 0 ? nn::Mode::kDeterministic
                                                                   : nn::Mode::kFast;
  open.options.vocab_only = (p.flags & KETTE_MODEL_VOCAB_ONLY) != 0;
  if (p.weight_type != nullptr) open.options.weight_type = p.weight_type;
  if (p.pack_dir != nullptr) open.options.pack_dir = p.pack_dir;
  if (!open.options.pack_dir.empty() && p.vfs != nullptr)
    return error(Code::kInvalidArgument, "pack_dir: not with a vfs; packs are made of files of the file system");
  if (p.reserved != 0) return error(Code::kInvalidArgument, "kette_model_params.reserved: {}, expected 0", p.reserved);
  open.options.memory_budget = p.memory_budget;
  open.options.plan_context = p.plan_context;
  open.options.prefix_cache = (p.flags & KETTE_MODEL_NO_PREFIX_CACHE) == 0;
  open.options.prefix_cache_bytes = p.prefix_cache_bytes;
  if (p.cancel != nullptr) open.cancel = p.cancel->flag;
  open.options.cancel = open.cancel.get();
  if (p.progress != nullptr)
    open.options.progress = [p](uint64_t done, uint64_t total) {
      const InCallback callback;
      return p.progress(p.progress_user, done, total) == 0;
    };
  return open;
}

kette_model* make_model(std::shared_ptr<const LoadedModel> loaded) {
  auto handle = std::make_unique<kette_model>();
  handle->loaded = std::move(loaded);
  return handle.release();
}

}  // namespace
}  // namespace kette::capi

extern "C" {

kette_status kette_model_open(kette_runtime* runtime, const char* utf8_path, const kette_model_params* params,
                              kette_model** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_ASSIGN(const OpenParams open, open_params(params));
    KETTE_TRY(require_live(runtime, "runtime"));
    KETTE_TRY(require(utf8_path, "utf8_path"));
    KETTE_TRY(require(out, "out"));
    KETTE_ASSIGN(auto loaded, kette::LoadedModel::open(runtime->runtime, open.files, utf8_path, open.options));
    *out = make_model(std::move(loaded));
    return KETTE_OK;
  });
}

kette_status kette_model_open_memory(kette_runtime* runtime, const void* data, size_t n, void (*release)(void* user),
                                     void* release_user, const kette_model_params* params, kette_model** out,
                                     kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    // From here on the memory is given back whatever happens.
    const std::shared_ptr<void> owner(release_user, [release](void* user) {
      const InCallback callback;
      if (release != nullptr) release(user);
    });
    KETTE_ASSIGN(const OpenParams open, open_params(params));
    KETTE_TRY(require_live(runtime, "runtime"));
    KETTE_TRY(require(data, "data"));
    KETTE_TRY(require(out, "out"));
    if (!open.options.pack_dir.empty())
      return kette::error(Code::kInvalidArgument, "pack_dir: not with a model in memory; packs are made of files");
    KETTE_ASSIGN(auto loaded, kette::LoadedModel::open(runtime->runtime, std::make_unique<HostMemory>(data, n, owner),
                                                       nullptr, open.options));
    *out = make_model(std::move(loaded));
    return KETTE_OK;
  });
}

kette_status kette_model_probe(kette_runtime* runtime, const char* utf8_path, const kette_model_params* params,
                               kette_buf** json, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_ASSIGN(const OpenParams open, open_params(params));
    KETTE_TRY(require_live(runtime, "runtime"));
    KETTE_TRY(require(utf8_path, "utf8_path"));
    KETTE_TRY(require(json, "json"));
    KETTE_ASSIGN(std::string info, kette::LoadedModel::probe(*runtime->runtime, open.files, utf8_path, open.options));
    *json = make_buf(std::move(info));
    return KETTE_OK;
  });
}

void kette_model_ref(kette_model* model) {
  if (model != nullptr) model->references.fetch_add(1, std::memory_order_relaxed);
}

void kette_model_unref(kette_model* model) {
  if (model != nullptr && model->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete model;
}

kette_status kette_model_info(const kette_model* model, kette_buf** json, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require(json, "json"));
    *json = make_buf(model->loaded->info_json());
    return KETTE_OK;
  });
}

int64_t kette_model_get_i64(const kette_model* model, const char* key, int64_t fallback) {
  if (model == nullptr || key == nullptr) return fallback;
  int64_t value = fallback;
  (void)kette::capi::guard(nullptr, [&]() -> Result<kette_status> {
    value = model->loaded->info_number(key).value_or(fallback);
    return KETTE_OK;
  });
  return value;
}

kette_status kette_tokenize(const kette_model* model, const char* text, size_t n, uint32_t flags, kette_token* out,
                            size_t cap, size_t* needed, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require_text(text, n, "text"));
    KETTE_TRY(require_text(out, cap, "out"));
    KETTE_TRY(require(needed, "needed"));
    KETTE_ASSIGN(const kette::Tokenizer* tokenizer, model->loaded->tokenizer());
    KETTE_TRY(require_flags(flags, KETTE_TOKENIZE_ADD_SPECIAL | KETTE_TOKENIZE_PARSE_SPECIAL, "flags"));
    KETTE_ASSIGN(const std::vector<kette_token> tokens,
                 tokenizer->encode({text, n}, (flags & KETTE_TOKENIZE_ADD_SPECIAL) != 0,
                                   (flags & KETTE_TOKENIZE_PARSE_SPECIAL) != 0));
    *needed = tokens.size();
    if (out == nullptr) return KETTE_OK;
    if (tokens.size() > cap)
      return kette::error(Code::kInvalidArgument, "the text has {} tokens, the buffer holds {}", tokens.size(), cap);
    std::copy(tokens.begin(), tokens.end(), out);
    return KETTE_OK;
  });
}

kette_status kette_detokenize(const kette_model* model, const kette_token* tokens, size_t n, uint32_t flags, char* out,
                              size_t cap, size_t* needed, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require_text(tokens, n, "tokens"));
    KETTE_TRY(require_text(out, cap, "out"));
    KETTE_TRY(require(needed, "needed"));
    KETTE_ASSIGN(const kette::Tokenizer* tokenizer, model->loaded->tokenizer());
    KETTE_TRY(require_flags(flags, KETTE_DETOKENIZE_SKIP_SPECIAL, "flags"));
    KETTE_ASSIGN(const std::string text, tokenizer->decode({tokens, n}, (flags & KETTE_DETOKENIZE_SKIP_SPECIAL) != 0));
    *needed = text.size();
    if (out == nullptr) return KETTE_OK;
    if (text.size() > cap)
      return kette::error(Code::kInvalidArgument, "the tokens have {} bytes, the buffer holds {}", text.size(), cap);
    std::copy(text.begin(), text.end(), out);
    return KETTE_OK;
  });
}

}  // extern "C"
