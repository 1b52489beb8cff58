#include "runtime/embed.h"

#include <algorithm>

#include "base/checked.h"
#include "handles.h"

using kette::Code;
using kette::Result;

namespace kette::capi {
namespace {

Result<EmbedOptions> read_pooling(uint32_t pooling) {
  EmbedOptions options;
  options.normalize = (pooling & KETTE_EMBED_NORMALIZE) != 0;
  switch (pooling & ~KETTE_EMBED_NORMALIZE) {
    case KETTE_POOL_MEAN: options.pooling = Pooling::kMean; break;
    case KETTE_POOL_LAST: options.pooling = Pooling::kLast; break;
    case KETTE_POOL_CLS: options.pooling = Pooling::kCls; break;
    default: return error(Code::kInvalidArgument, "pooling: {:#x}, expected KETTE_POOL_*", pooling);
  }
  return options;
}

}  // namespace
}  // namespace kette::capi

extern "C" {

kette_status kette_embed(const kette_model* model, const char* const* texts, const size_t* lens, size_t n,
                         uint32_t pooling, kette_cancel* cancel, float* out, size_t cap, size_t* needed,
                         kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require_text(texts, n, "texts"));
    KETTE_TRY(require_text(lens, n, "lens"));
    KETTE_TRY(require_text(out, cap, "out"));
    KETTE_TRY(require(needed, "needed"));
    KETTE_ASSIGN(auto options, read_pooling(pooling));
    if (model->loaded->model() == nullptr)
      return kette::error(Code::kMisuse, "the model was opened for its vocabulary only; embeddings need weights");
    const auto numbers = kette::checked_mul(n, model->loaded->model()->shape().hidden_size);
    if (!numbers) return kette::error(Code::kInvalidArgument, "n: {} texts", n);
    for (size_t i = 0; i < n; ++i) KETTE_TRY(require_text(texts[i], lens[i], fmt::format("texts[{}]", i)));
    *needed = static_cast<size_t>(*numbers);
    if (out == nullptr) return KETTE_OK;
    if (*numbers > cap)
      return kette::error(Code::kInvalidArgument, "the embeddings have {} numbers, the buffer holds {}", *numbers, cap);
    std::vector<std::string_view> views;
    for (size_t i = 0; i < n; ++i) views.emplace_back(texts[i] != nullptr ? texts[i] : "", lens[i]);
    const std::shared_ptr<const kette::CancelFlag> flag = cancel != nullptr ? cancel->flag : nullptr;
    options.cancel = flag.get();
    KETTE_ASSIGN(const std::vector<float> embeddings, kette::embed(*model->loaded, views, options));
    std::copy(embeddings.begin(), embeddings.end(), out);
    return KETTE_OK;
  });
}

}  // extern "C"
