// Multi-head latent attention's settings and tensors, whatever way a file stores them.
#pragma once

#include "models/binder.h"
#include "nn/mla_attention.h"

namespace kette {

struct MlaSizes {
  size_t hidden_size, num_attention_heads;
  size_t q_lora_rank;  // 0: queries are projected in one step
  size_t kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim;
  float softmax_scale;
  bool rope_interleaved;
};

MlaSizes bind_mla_sizes(Binder& binder);

// The map from latents to keys and values is kv_b_proj (Hugging Face, older GGUF files), or k_b_proj, of each head
// transposed, and v_b_proj (GGUF). What orientation of the keys' part is missing is made here:
//   for the absorbed form from kv_b_proj: as float from f32 and in exact mode, bf16 from bf16, else f16
//   for the expanded form from k_b_proj, only where that form is used: as f32 and f16 are, else bf16
nn::MlaAttention bind_mla(Binder& binder, const std::string& prefix, const MlaSizes& sizes);

}  // namespace kette
