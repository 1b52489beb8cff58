#include "models/decoder.h"

#include <array>

namespace kette {
namespace {

class Decoder final : public Model {
 public:
  Status bind(Binder& b, const DecoderParts& parts) {
    const size_t hidden_size = parts.hidden_size;
    const size_t vocab_size = b.size("vocab_size", 1, 1 << 24);
    const size_t layers = b.size("num_hidden_layers", 1, 1024);
    const float eps = bind_eps(b);
    KETTE_TRY(b.status());

    rope_ = bind_rope(b, parts.rotary_dim);
    embed_tokens_.weight = b.matrix("model.embed_tokens.weight", vocab_size, hidden_size);
    for (size_t i = 0; i < layers; ++i) {
      const std::string prefix = fmt::format("model.layers.{}", i);
      layers_.push_back({b.rms_norm(prefix + ".input_layernorm", hidden_size, eps),
                         b.rms_norm(prefix + ".post_attention_layernorm", hidden_size, eps),
                         parts.self_attn(prefix + ".self_attn"), parts.mlp(prefix + ".mlp", i)});
    }
    norm_ = b.rms_norm("model.norm", hidden_size, eps);
    lm_head_ = b.boolean("tie_word_embeddings", false) ? b.linear(embed_tokens_.weight)
                                                       : b.linear("lm_head", vocab_size, hidden_size);
    shape_ = {layers, hidden_size, vocab_size, b.size("max_position_embeddings", 1, 1 << 30, 2048),
              {layers, parts.kv_heads, parts.key_dim, parts.value_dim}};
    return b.status();
  }

  void embed(nn::Step& step, const nn::Batch& batch, const nn::Tensor& x) const override {
    embed_tokens_(step, batch.tokens, x);
  }
  void layer(nn::Step& step, const nn::Batch& batch, size_t index, const nn::Tensor& x) const override {
    layers_[index].forward(step, batch, index, x);
  }
  void head(nn::Step& step, const nn::Tensor& x, const nn::Tensor& logits) const override {
    const nn::Arena::Mark mark(step.arena);
    const nn::Tensor normed = step.arena.tensor(x.rows, x.cols);
    norm_(step, x, normed);
    multiply(step, std::array{nn::Product{&lm_head_, normed, logits}});
  }

 private:
  nn::Embedding embed_tokens_;
  std::vector<nn::DecoderLayer> layers_;
  nn::RmsNorm norm_;
  nn::Linear lm_head_;
};

}  // namespace

Result<std::unique_ptr<Model>> bind_decoder(Binder& binder, const DecoderParts& parts) {
  auto model = std::make_unique<Decoder>();
  KETTE_TRY(model->bind(binder, parts));
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace kette
