// What DeepSeek-V2 and V3 share: multi-head latent attention, a few dense layers, then mixtures of experts with
// shared ones. They differ in the router alone.
#pragma once

#include "models/bind_moe.h"
#include "models/decoder.h"

namespace kette {

// The settings that both generations' routers have; the model's own file adds the rest.
nn::Routing bind_deepseek_routing(Binder& binder);

// `corrected`: the routers have an e_score_correction_bias.
Result<std::unique_ptr<Model>> bind_deepseek_decoder(Binder& binder, const nn::Routing& routing, bool corrected);

}  // namespace kette
