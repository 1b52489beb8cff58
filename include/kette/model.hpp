/// A model file, opened: weights, vocabulary, chat template. Immutable; any number of threads and sessions share it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kette/runtime.hpp"
#include "kette/span.hpp"

KETTE_BEGIN_NAMESPACE

/// Bytes done and in total; false stops the opening. Called on the thread that opens.
using progress_function = std::function<bool(std::uint64_t done, std::uint64_t total)>;

/// How a model is opened. Zero and empty mean the default.
struct load_options {
  std::uint32_t flags = 0;                ///< KETTE_MODEL_*
  std::string weight_type;                ///< "": as stored
  std::uint64_t memory_budget = 0;        ///< bytes that weights and one session may take; 0: no limit
  std::uint32_t plan_context = 0;         ///< tokens of that session; 0: a session's default
  std::uint64_t prefix_cache_bytes = 0;   ///< kept of ended sessions for those that begin alike; 0: at most 64 MiB
  std::string pack_dir;                   ///< folder that keeps encoded weights for the next opening; "": none
  progress_function progress;             ///< what it throws comes out of open()
  const kette_vfs* vfs = nullptr;         ///< where files are read; nullptr: the file system
  const kette::cancel* cancel = nullptr;  ///< not owned; must live until open() returns

  load_options& set_flags(std::uint32_t bits) { return flags = bits, *this; }
  load_options& set_weight_type(std::string name) { return weight_type = std::move(name), *this; }
  load_options& set_memory_budget(std::uint64_t bytes) { return memory_budget = bytes, *this; }
  load_options& set_plan_context(std::uint32_t tokens) { return plan_context = tokens, *this; }
  load_options& set_prefix_cache_bytes(std::uint64_t bytes) { return prefix_cache_bytes = bytes, *this; }
  load_options& set_pack_dir(std::string folder) { return pack_dir = std::move(folder), *this; }
  load_options& set_progress(progress_function f) { return progress = std::move(f), *this; }
  load_options& set_vfs(const kette_vfs* v) { return vfs = v, *this; }
  load_options& set_cancel(const kette::cancel& c) { return cancel = &c, *this; }
};

/// Which hidden states make an embedding: the mean of all tokens', the last token's, the first token's.
enum class pooling : std::uint32_t { mean = KETTE_POOL_MEAN, last = KETTE_POOL_LAST, cls = KETTE_POOL_CLS };

/// How texts are embedded.
struct embed_options {
  kette::pooling pooling = kette::pooling::mean;
  bool normalize = false;                 ///< to a length of 1
  const kette::cancel* cancel = nullptr;  ///< not owned; must live until embed() returns

  embed_options& set_pooling(kette::pooling p) { return pooling = p, *this; }
  embed_options& set_normalize(bool n) { return normalize = n, *this; }
  embed_options& set_cancel(const kette::cancel& c) { return cancel = &c, *this; }
};

/// A counted reference to a model: copies share it. Safe to use from several threads at once.
class model {
 public:
  /// Open a model file; a split GGUF by its first file. `path` is UTF-8. Fails with not_found, io, format, corrupt,
  /// unsupported, budget, cancelled, or host where progress returned false; all of them say which file and where.
  static result<model> open(const runtime& rt, const std::string& path, const load_options& options = {}) {
    return open_with(options, [&](const kette_model_params& params, kette_model** out, kette_error** e) {
      return kette_model_open(rt.raw(), path.c_str(), &params, out, e);
    });
  }
  /// Open a model that lies in memory. The bytes must stay as they are until `release` has been called: once, when the
  /// last reference ends or before this function returns with an error.
  static result<model> open_memory(const runtime& rt, const void* data, std::size_t size,
                                   std::function<void()> release = {}, const load_options& options = {}) {
    using holder = std::function<void()>;
    auto kept = std::make_unique<holder>(std::move(release));
    return open_with(options, [&](const kette_model_params& params, kette_model** out, kette_error** e) {
      const auto call_release = [](void* user) {
        const std::unique_ptr<holder> f(static_cast<holder*>(user));
        detail::thrown dropped;
        if (*f) dropped.run([&] { return (*f)(), 0; }, 0);
      };
      return kette_model_open_memory(rt.raw(), data, size, call_release, kept.release(), &params, out, e);
    });
  }
  /// JSON from the headers alone, without loading: architecture, parameters, tensor types, context length, the memory
  /// that weights, context and scratch need, and whether this machine can run it.
  static result<std::string> probe(const runtime& rt, const std::string& path, const load_options& options = {}) {
    kette_model_params params = read(options);
    return detail::make_string(
        [&](kette_buf** out, kette_error** e) { return kette_model_probe(rt.raw(), path.c_str(), &params, out, e); });
  }
  /// Adopts a reference; pairs with release().
  explicit model(kette_model* adopted) noexcept : handle_(adopted) {}

  /// JSON: architecture, name, parameters, vocab_size, context_length, tensor types, sizes in bytes …
  result<std::string> info() const {
    return detail::make_string([&](kette_buf** out, kette_error** e) { return kette_model_info(raw(), out, e); });
  }
  /// A number of info() by its key; nothing if it has none.
  std::optional<std::int64_t> number(const char* key) const noexcept {
    // Asked twice with different fallbacks, so that every value can be told from "none".
    const std::int64_t value = kette_model_get_i64(raw(), key, 0);
    if (value == 0 && kette_model_get_i64(raw(), key, 1) == 1) return std::nullopt;
    return value;
  }
  std::size_t vocab_size() const noexcept { return static_cast<std::size_t>(number("vocab_size").value_or(0)); }

  /// Text to tokens. `flags`: KETTE_TOKENIZE_ADD_SPECIAL, KETTE_TOKENIZE_PARSE_SPECIAL. Any bytes are accepted.
  result<std::vector<token>> tokenize(std::string_view text, std::uint32_t flags = 0) const {
    return detail::fill<std::vector<token>>(
        text.size() / 3 + 16, [&](token* out, std::size_t cap, std::size_t* needed, kette_error** e) {
          return kette_tokenize(raw(), text.data(), text.size(), flags, out, cap, needed, e);
        });
  }
  /// Tokens to bytes: UTF-8 only if the tokens end on whole characters. `flags`: KETTE_DETOKENIZE_SKIP_SPECIAL.
  result<std::string> detokenize(span<const token> tokens, std::uint32_t flags = 0) const {
    return detail::fill<std::string>(
        tokens.size() * 6 + 16, [&](char* out, std::size_t cap, std::size_t* needed, kette_error** e) {
          return kette_detokenize(raw(), tokens.data(), tokens.size(), flags, out, cap, needed, e);
        });
  }

  /// Embeddings of texts, [texts][hidden_size]: hidden states after the last norm, pooled over each text's tokens. Fails
  /// with context_full for a text longer than the model's context, and says which.
  result<std::vector<float>> embed(span<const std::string_view> texts, const embed_options& options = {}) const {
    std::vector<const char*> data;
    std::vector<std::size_t> sizes;
    for (const std::string_view text : texts) data.push_back(text.data()), sizes.push_back(text.size());
    const std::uint32_t how =
        static_cast<std::uint32_t>(options.pooling) | (options.normalize ? KETTE_EMBED_NORMALIZE : 0u);
    kette_cancel* const flag = options.cancel != nullptr ? options.cancel->raw() : nullptr;
    return detail::fill<std::vector<float>>(
        texts.size() * hidden_size(), [&](float* out, std::size_t cap, std::size_t* needed, kette_error** e) {
          return kette_embed(raw(), data.data(), sizes.data(), sizes.size(), how, flag, out, cap, needed, e);
        });
  }
  /// Numbers of an embedding.
  std::size_t hidden_size() const noexcept { return static_cast<std::size_t>(number("hidden_size").value_or(0)); }

  kette_model* raw() const noexcept { return handle_.get(); }
  kette_model* release() noexcept { return handle_.release(); }

 private:
  static kette_model_params read(const load_options& options) {
    auto params = detail::sized<kette_model_params>();
    params.flags = options.flags;
    params.weight_type = options.weight_type.empty() ? nullptr : options.weight_type.c_str();
    params.memory_budget = options.memory_budget;
    params.plan_context = options.plan_context;
    params.prefix_cache_bytes = options.prefix_cache_bytes;
    params.pack_dir = options.pack_dir.empty() ? nullptr : options.pack_dir.c_str();
    params.vfs = options.vfs;
    params.cancel = options.cancel != nullptr ? options.cancel->raw() : nullptr;
    return params;
  }
  template <class F>
  static result<model> open_with(const load_options& options, F&& open) {
    struct progress_state {
      const progress_function& f;
      detail::thrown thrown;
    } state{options.progress, {}};
    kette_model_params params = read(options);
    if (options.progress) {
      params.progress_user = &state;
      params.progress = [](void* user, std::uint64_t done, std::uint64_t total) -> std::int32_t {
        auto* s = static_cast<progress_state*>(user);
        return s->thrown.run([&] { return s->f(done, total) ? 0 : 1; }, 1);
      };
    }
    auto made =
        detail::make<model, kette_model>([&](kette_model** out, kette_error** e) { return open(params, out, e); });
    state.thrown.rethrow();
    return made;
  }

  detail::shared<kette_model, kette_model_ref, kette_model_unref> handle_;
};
static_assert(sizeof(model) == sizeof(void*), "a handle is one pointer wide");

KETTE_END_NAMESPACE
