// Qwen3, the R1-0528 distill on it: Llama with a norm on each head of q and k. Reference: transformers modeling_qwen3.py.
#include "models/decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_qwen3(Binder& b) {
  b.require(!b.boolean("use_sliding_window", false), "use_sliding_window: true, expected false");
  const GqaSizes gqa = bind_gqa_sizes(b);
  const Bias bias = bind_attention_bias(b);
  const size_t intermediate_size = b.size("intermediate_size", 1, 1 << 20);
  DecoderParts parts(gqa);
  parts.self_attn = [&](const std::string& prefix) { return bind_gqa(b, prefix, gqa, {bias, bias, QkNorm::kYes}); };
  parts.mlp = [&](const std::string& prefix, size_t) {
    return bind_swiglu(b, prefix, gqa.hidden_size, intermediate_size);
  };
  return bind_decoder(b, parts);
}

}  // namespace kette
