// Llama 2 and 3, SmolLM2, the R1 distills on Llama. Reference: transformers modeling_llama.py.
#include "models/decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_llama(Binder& b) {
  b.require(!b.boolean("mlp_bias", b.has_tensor("model.layers.0.mlp.up_proj.bias")), "mlp_bias: true, expected false");
  const GqaSizes gqa = bind_gqa_sizes(b);
  const Bias bias = bind_attention_bias(b);
  const size_t intermediate_size = b.size("intermediate_size", 1, 1 << 20);
  DecoderParts parts(gqa);
  parts.self_attn = [&](const std::string& prefix) { return bind_gqa(b, prefix, gqa, {bias, bias}); };
  parts.mlp = [&](const std::string& prefix, size_t) {
    return bind_swiglu(b, prefix, gqa.hidden_size, intermediate_size);
  };
  return bind_decoder(b, parts);
}

}  // namespace kette
