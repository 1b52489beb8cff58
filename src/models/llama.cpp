// Llama 2 and 3, SmolLM2, the R1 distills on Llama. Reference: transformers modeling_llama.py.
#include "models/dense_decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_llama(Binder& binder) {
  binder.require(!binder.boolean("attention_bias", false) && !binder.boolean("mlp_bias", false),
                 "attention_bias, mlp_bias: true, expected false");
  return bind_dense_decoder(binder, Bias::kNo);
}

}  // namespace kette
