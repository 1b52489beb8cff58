#include "runtime/embed.h"

#include <algorithm>
#include <cmath>

#include "runtime/forward.h"

namespace kette {
namespace {

Result<std::vector<Token>> tokens_of(const LoadedModel& loaded, std::string_view text) {
  KETTE_ASSIGN(const Tokenizer* tokenizer, loaded.tokenizer());
  KETTE_ASSIGN(std::vector<Token> tokens, tokenizer->encode(text, true, false));
  if (tokens.empty()) return error(Code::kInvalidArgument, "no tokens");
  const size_t most = loaded.model()->shape().max_position_embeddings;
  if (tokens.size() > most)
    return error(Code::kContextFull, "{} tokens, the model's context holds {}", tokens.size(), most);
  return tokens;
}

class Embedder {
 public:
  Embedder(const LoadedModel& loaded, nn::KvCache kv, const EmbedOptions& options)
      : options_(options),
        hidden_size_(loaded.model()->shape().hidden_size),
        kv_(std::move(kv)),
        forward_(*loaded.model(), loaded.runtime(), loaded.mode()),
        states_(Forward::kMaxRows * hidden_size_) {}

  Status embed(std::span<const Token> tokens, float* out) {
    const bool mean = options_.pooling == Pooling::kMean;
    std::vector<double> sum(hidden_size_, 0.0);
    for (size_t done = 0; done < tokens.size();) {
      const size_t n = std::min(Forward::kMaxRows, tokens.size() - done);
      const size_t wanted = mean ? n : done + n == tokens.size() ? 1 : 0;
      forward_.begin_normed(tokens.subspan(done, n), kv_, done, states_.data(), wanted);
      KETTE_TRY(forward_.run(std::nullopt, options_.cancel).status());
      for (size_t i = 0; i < wanted * hidden_size_; ++i) sum[i % hidden_size_] += static_cast<double>(states_[i]);
      done += n;
    }
    double squares = 0;
    for (const double s : sum) squares += s * s;
    if (!std::isfinite(squares)) return error(Code::kNumeric, "hidden states that are not finite numbers");
    double factor = mean ? 1.0 / static_cast<double>(tokens.size()) : 1.0;
    if (options_.normalize) factor = squares > 0 ? 1.0 / std::sqrt(squares) : 0.0;
    for (size_t i = 0; i < hidden_size_; ++i) out[i] = static_cast<float>(sum[i] * factor);
    return {};
  }

 private:
  EmbedOptions options_;
  size_t hidden_size_;
  nn::KvCache kv_;
  Forward forward_;
  std::vector<float> states_;  // [kMaxRows][hidden_size]
};

}  // namespace

Result<std::vector<float>> embed(const LoadedModel& loaded, std::span<const std::string_view> texts,
                                 const EmbedOptions& options) {
  if (loaded.model() == nullptr)
    return error(Code::kMisuse, "the model was opened for its vocabulary only; embeddings need weights");
  const ModelShape& shape = loaded.model()->shape();
  std::vector<std::vector<Token>> all;
  size_t longest = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    auto tokens = tokens_of(loaded, texts[i]);
    if (!tokens.ok()) return std::move(tokens).status().within(fmt::format("text {}", i));
    if (options.pooling == Pooling::kCls) tokens->resize(1);  // the first token's states know nothing of the others
    longest = std::max(longest, tokens->size());
    all.push_back(std::move(*tokens));
  }
  if (texts.empty()) return std::vector<float>();
  const nn::KvType type = loaded.mode() == nn::Mode::kExact ? nn::KvType::kF32 : nn::KvType::kF16;
  KETTE_ASSIGN(const size_t kv_bytes, nn::KvCache::size(shape.kv, type, longest));
  KETTE_TRY(loaded.check_budget(longest, kv_bytes));
  KETTE_ASSIGN(nn::KvCache kv, nn::KvCache::make(shape.kv, type, longest, loaded.runtime().allocator.get()));
  Embedder embedder(loaded, std::move(kv), options);
  std::vector<float> out(texts.size() * shape.hidden_size);
  for (size_t i = 0; i < all.size(); ++i)
    if (Status status = embedder.embed(all[i], out.data() + i * shape.hidden_size); !status.ok())
      return std::move(status).within(fmt::format("text {}", i));
  return out;
}

}  // namespace kette
