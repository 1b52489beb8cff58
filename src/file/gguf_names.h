// GGUF's names -> Hugging Face's: architectures, tensors and hyper-parameters, each a table in gguf_names.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kette {

struct GgufArchitecture {
  std::string_view gguf;        // general.architecture: "llama"
  std::string_view hf;          // config.json's architectures[0]: "LlamaForCausalLM"
  bool interleaved_qk = false;  // the converter permuted q and k rows to interleaved rotary pairs
  bool experts = false;         // files with <gguf>.expert_count > 0 are this architecture too
  bool norm_topk_prob = false;  // what files mean that have no <gguf>.expert_weights_norm
};

struct GgufConfigKey {
  enum class Kind { kInteger, kReal, kBoolean };
  std::string_view gguf;  // behind "<architecture>."
  std::string_view hf;    // key of config.json
  Kind kind;
};

// nullptr: an architecture without a row.
const GgufArchitecture* find_gguf_architecture(std::string_view gguf);
std::string gguf_architecture_list();  // "llama, qwen2"

std::span<const GgufConfigKey> gguf_config_keys();

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; a name no row knows stays as it is. Some names
// depend on the (GGUF) architecture.
std::string canonical_tensor_name(std::string_view gguf_name, std::string_view architecture = {});

// Is it a layer's q or k projection (weight or bias)?
bool is_qk_projection(std::string_view gguf_name);

}  // namespace kette
