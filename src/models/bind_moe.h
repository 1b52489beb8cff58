// Mixtures of experts from a checkpoint.
#pragma once

#include "models/binder.h"

namespace kette {

struct MoeSizes {
  size_t hidden_size, num_experts, moe_intermediate_size;
};

// The router (prefix.gate) and its experts (prefix.experts). A shared expert or a correction bias is the caller's.
nn::Moe bind_moe(Binder& binder, const std::string& prefix, const MoeSizes& sizes, const nn::Routing& routing);

// Whether each layer has experts: every decoder_sparse_step-th, but those of mlp_only_layers (Qwen's keys).
std::vector<bool> bind_sparse_layers(Binder& binder);

}  // namespace kette
