// Source: convert_lora_to_gguf.py of ggml-org/llama.cpp (names, layout, what alpha means).
#include "file/gguf_names.h"
#include "file/lora.h"
#include "file/printable.h"

namespace kette {
namespace {

constexpr std::string_view kExperts = ".mlp.experts.";

// Stacked experts, [experts, ...], one by one.
Status add_experts(const std::string& name, LoraPairs::Half half, const CheckpointTensor& stacked, LoraPairs& pairs) {
  constexpr uint64_t kMostExperts = 4096;
  const uint64_t experts = stacked.shape[0];
  if (experts > kMostExperts)
    return error(Code::kCorrupt, "{}: {} experts, expected at most {}", printable(stacked.name, 96), experts,
                 kMostExperts);
  const size_t at = name.find(kExperts) + kExperts.size();
  for (uint64_t i = 0; i < experts; ++i) {
    CheckpointTensor one = stacked;
    one.shape.erase(one.shape.begin());
    one.bytes = stacked.bytes / experts;
    one.offset += i * one.bytes;
    KETTE_TRY(pairs.add(fmt::format("{}{}.{}", name.substr(0, at), i, name.substr(at)), half, std::move(one)));
  }
  return {};
}

// "blk.3.attn_q.weight.lora_a" -> "model.layers.3.self_attn.q_proj" and which half.
Status add_tensor(const Gguf& gguf, const GgufTensor& t, const GgufArchitecture& architecture, LoraPairs& pairs) {
  constexpr std::string_view kA = ".weight.lora_a", kB = ".weight.lora_b";
  const bool is_a = t.name.ends_with(kA);
  if (!is_a && !t.name.ends_with(kB))
    return error(Code::kUnsupported, "tensor {}: expected a name that ends in {} or {}", printable(t.name, 96), kA, kB);
  const std::string matrix = t.name.substr(0, t.name.size() - 7);  // without ".lora_a"
  std::string name = canonical_tensor_name(matrix, architecture.gguf);
  name.resize(name.size() - std::string_view(".weight").size());
  CheckpointTensor tensor{t.name,
                          t.type,
                          t.shape,
                          t.bytes,
                          &gguf.shard(t.shard),
                          t.offset,
                          !is_a && architecture.interleaved_qk && is_qk_projection(matrix)};
  const LoraPairs::Half half = is_a ? LoraPairs::Half::kA : LoraPairs::Half::kB;
  if (t.shape.size() == 3 && name.find(kExperts) != std::string::npos) return add_experts(name, half, tensor, pairs);
  return pairs.add(std::move(name), half, std::move(tensor));
}

Status translate(LoraFile& file) {
  const Gguf& gguf = *file.gguf;
  for (const auto& [key, expected] : {std::pair{"general.type", "adapter"}, {"adapter.type", "lora"}}) {
    const auto found = gguf.string(key);
    if (!found || *found != expected)
      return error(Code::kUnsupported, "{}: {}, expected \"{}\"", key,
                   found ? "\"" + printable(*found, 32) + "\"" : "missing", expected);
  }
  const auto arch = gguf.string("general.architecture");
  if (!arch) return error(Code::kCorrupt, "general.architecture: missing, expected a string");
  const GgufArchitecture* row = find_gguf_architecture(*arch);
  if (row == nullptr)
    return error(Code::kUnsupported, "general.architecture: \"{}\", supported are {}", printable(*arch, 32),
                 gguf_architecture_list());
  if (row->gguf != "deepseek2") file.architecture = row->hf;  // that one is of two: shapes tell them apart
  const auto alpha = gguf.real("adapter.lora.alpha");
  if (!alpha || !(*alpha >= 0 && *alpha <= 1e9))
    return error(Code::kCorrupt, "adapter.lora.alpha: expected a number from 0 to 1e9");
  LoraPairs pairs;
  for (const GgufTensor& t : gguf.tensors()) KETTE_TRY(add_tensor(gguf, t, *row, pairs));
  KETTE_ASSIGN(file.pairs, std::move(pairs).take());
  // An alpha of 0 leaves the product as it is.
  for (LoraPair& pair : file.pairs) pair.scale = *alpha == 0 ? 1.0 : *alpha / static_cast<double>(pair.rank());
  return {};
}

}  // namespace

Result<LoraFile> read_gguf_lora(Gguf gguf) {
  LoraFile file;
  file.gguf = std::move(gguf);
  if (Status status = translate(file); !status.ok())
    return std::move(status).within(file_label(file.gguf->shard(0).name()));
  return file;
}

}  // namespace kette
