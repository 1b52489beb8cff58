// Qwen2 and Qwen2.5, the R1 distills on Qwen: Llama with biases on q, k and v. Reference: transformers modeling_qwen2.py.
#include "models/dense_decoder.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_qwen2(Binder& binder) {
  binder.require(!binder.boolean("use_sliding_window", false), "use_sliding_window: true, expected false");
  return bind_dense_decoder(binder, Bias::kYes);
}

}  // namespace kette
