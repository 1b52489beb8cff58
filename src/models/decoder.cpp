#include "models/decoder.h"

#include <array>
#include <optional>

#include "file/printable.h"

namespace kette {
namespace {

// Multi-token prediction (DeepSeek-V3 2.2): what is known of a position and the token that follows it, each normed,
// are joined and go through a layer of their own.
struct AheadModule {
  nn::Embedding embed_tokens;
  nn::RmsNorm enorm, hnorm;
  nn::Linear eh_proj;  // [hidden_size, 2 * hidden_size]
  nn::DecoderLayer layer;
  nn::RmsNorm norm;
  nn::Linear head;
};

class Decoder final : public Model {
 public:
  Status bind(Binder& b, const DecoderParts& parts) {
    const size_t hidden_size = parts.hidden_size;
    const size_t vocab_size = b.size("vocab_size", 1, 1 << 24);
    const size_t layers = b.size("num_hidden_layers", 1, 1024);
    const float eps = bind_eps(b);
    const std::string hidden_act = b.string("hidden_act", "silu");
    b.require(hidden_act == "silu" || hidden_act == "swish",
              fmt::format("hidden_act: {}, expected silu", printable(hidden_act)));
    KETTE_TRY(b.status());

    rope_ = bind_rope(b, parts.rotary_dim);
    embed_tokens_.weight = b.matrix("model.embed_tokens.weight", vocab_size, hidden_size);
    const auto bind_layer = [&](const std::string& prefix, size_t i) {
      return nn::DecoderLayer{b.rms_norm(prefix + ".input_layernorm", hidden_size, eps),
                              b.rms_norm(prefix + ".post_attention_layernorm", hidden_size, eps),
                              parts.self_attn(prefix + ".self_attn"), parts.mlp(prefix + ".mlp", i)};
    };
    for (size_t i = 0; i < layers && b.status().ok(); ++i)
      layers_.push_back(bind_layer(fmt::format("model.layers.{}", i), i));
    norm_ = b.rms_norm("model.norm", hidden_size, eps);
    lm_head_ = b.boolean("tie_word_embeddings", false) ? b.linear(embed_tokens_.weight)
                                                       : b.linear("lm_head", vocab_size, hidden_size);
    matrices_.assign(b.matrices().begin(), b.matrices().end());
    if (parts.looks_ahead) {
      const std::string prefix = fmt::format("model.layers.{}", layers);
      // Files may leave out what the module shares with the model.
      const bool own_embedding = b.has_tensor(prefix + ".embed_tokens.weight");
      const bool own_head = b.has_tensor(prefix + ".shared_head.head.weight");
      ahead_ = {own_embedding ? nn::Embedding{b.matrix(prefix + ".embed_tokens.weight", vocab_size, hidden_size)}
                              : embed_tokens_,
                b.rms_norm(prefix + ".enorm", hidden_size, eps),
                b.rms_norm(prefix + ".hnorm", hidden_size, eps),
                b.linear(prefix + ".eh_proj", hidden_size, 2 * hidden_size),
                bind_layer(prefix, layers),
                b.rms_norm(prefix + ".shared_head.norm", hidden_size, eps),
                own_head ? b.linear(prefix + ".shared_head.head", vocab_size, hidden_size) : lm_head_};
    }
    shape_ = {layers,
              hidden_size,
              vocab_size,
              b.size("max_position_embeddings", 1, 1 << 30, 2048),
              {layers + (ahead_ ? 1 : 0), parts.kv_heads, parts.key_dim, parts.value_dim}};
    return b.status();
  }

  void embed(nn::Step& step, const nn::Batch& batch, const nn::Tensor& x) const override {
    embed_tokens_(step, batch.tokens, x);
  }
  void layer(nn::Step& step, const nn::Batch& batch, size_t index, const nn::Tensor& x) const override {
    layers_[index].forward(step, batch, index, x);
  }
  void normed(nn::Step& step, const nn::Tensor& x, const nn::Tensor& y) const override { norm_(step, x, y); }
  void head(nn::Step& step, const nn::Tensor& x, const nn::Tensor& logits) const override {
    score(step, norm_, lm_head_, x, logits);
  }

  bool looks_ahead() const override { return ahead_.has_value(); }
  void ahead(nn::Step& step, const nn::Batch& batch, const nn::Tensor& hidden, bool further,
             const nn::Tensor& y) const override {
    const nn::Arena::Mark mark(step.arena);
    const nn::Tensor joined = step.arena.tensor(hidden.rows, 2 * hidden.cols);
    const nn::Tensor embedded{joined.data, joined.rows, hidden.cols, joined.stride};
    const nn::Tensor known{joined.data + hidden.cols, joined.rows, hidden.cols, joined.stride};
    ahead_->embed_tokens(step, batch.tokens, embedded);
    ahead_->enorm(step, embedded, embedded);
    if (further) {
      ahead_->hnorm(step, hidden, known);
    } else {
      norm_(step, hidden, known);
      ahead_->hnorm(step, known, known);
    }
    {
      const nn::Phase phase(step.profile, "join");
      multiply(step, std::array{nn::Product{&ahead_->eh_proj, joined, y}});
    }
    ahead_->layer.forward(step, batch, layers_.size(), y);
  }
  void ahead_head(nn::Step& step, const nn::Tensor& y, const nn::Tensor& logits) const override {
    score(step, ahead_->norm, ahead_->head, y, logits);
  }

 private:
  static void score(nn::Step& step, const nn::RmsNorm& norm, const nn::Linear& head, const nn::Tensor& x,
                    const nn::Tensor& logits) {
    const nn::Arena::Mark mark(step.arena);
    const nn::Tensor normed = step.arena.tensor(x.rows, x.cols);
    norm(step, x, normed);
    const nn::Phase phase(step.profile, "head");
    multiply(step, std::array{nn::Product{&head, normed, logits}});
  }

  nn::Embedding embed_tokens_;
  std::vector<nn::DecoderLayer> layers_;
  nn::RmsNorm norm_;
  nn::Linear lm_head_;
  std::optional<AheadModule> ahead_;
};

}  // namespace

Result<std::unique_ptr<Model>> bind_decoder(Binder& binder, const DecoderParts& parts) {
  auto model = std::make_unique<Decoder>();
  KETTE_TRY(model->bind(binder, parts));
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace kette
