// The decoder that Llama's descendants share: embedding, pre-norm blocks of grouped-query attention and SwiGLU, norm, head.
#pragma once

#include "models/binder.h"
#include "models/model.h"

namespace kette {

Result<std::unique_ptr<Model>> bind_dense_decoder(Binder& binder, Bias qkv_bias);

}  // namespace kette
