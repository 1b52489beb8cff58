#include "models/weight_types.h"

#include "file/printable.h"

namespace kette {
namespace {

constexpr std::string_view kPartNames[] = {"embedding", "head", "attention", "experts", "mlp"};

Result<const Format*> type_of(std::string_view name) {
  for (const std::string_view type : kWeightTypes)
    if (name == type) return find_format(name);
  return error(Code::kInvalidArgument, "weight_type: \"{}\", expected one of {}", printable(name, 32),
               fmt::join(kWeightTypes, ", "));
}

// The first of a type and its substitutes whose blocks divide rows of n numbers.
const Format* that_fits(const Format* format, uint64_t n) {
  if (n % format->block_size == 0) return format;
  const Format* substitute = format->name == "q4_k" ? find_format("q4_1") : nullptr;
  return substitute != nullptr && n % substitute->block_size == 0 ? substitute : nullptr;
}

}  // namespace

Result<WeightTypes> WeightTypes::parse(std::string_view text) {
  WeightTypes types;
  if (text.empty() || text == "as_stored") return types;
  if (text.find('=') == std::string_view::npos) {
    KETTE_ASSIGN(const Format* all, type_of(text));
    for (const Format*& format : types.formats_) format = all;
    types.formats_[kEmbedding] = types.formats_[kHead] = find_format("q8_0");
    return types;
  }
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t equals = std::min(item.find('='), item.size());
    const auto* part = std::find(std::begin(kPartNames), std::end(kPartNames), item.substr(0, equals));
    if (part == std::end(kPartNames) || equals == item.size()) {
      return error(Code::kInvalidArgument, "weight_type: \"{}\", expected PART=TYPE with a part of {}",
                   printable(item, 32), fmt::join(kPartNames, ", "));
    }
    const Format*& format = types.formats_[part - std::begin(kPartNames)];
    if (format != nullptr) return error(Code::kInvalidArgument, "weight_type: {} is there twice", *part);
    KETTE_ASSIGN(format, type_of(item.substr(equals + 1)));
  }
  return types;
}

bool WeightTypes::any() const {
  return std::any_of(std::begin(formats_), std::end(formats_), [](const Format* f) { return f != nullptr; });
}

WeightTypes::Part WeightTypes::part_of(std::string_view name, bool tied) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (!name.ends_with(".weight")) {
    return has(".experts.") && !name.ends_with("_scale_inv") && !name.ends_with(".bias") ? kExperts : kOther;
  }
  if (name == "model.embed_tokens.weight") return tied ? kHead : kEmbedding;
  if (name == "lm_head.weight") return kHead;
  if (!name.starts_with("model.layers.") || has("norm.") || name.ends_with("gate.weight")) return kOther;
  // Latent attention's maps of each head (GGUF) are bound as they are stored.
  if (has(".k_b_proj.") || has(".v_b_proj.")) return kOther;
  if (has(".self_attn.")) return kAttention;
  if (has(".experts.")) return kExperts;
  return has(".mlp.") ? kMlp : kOther;
}

const Format* WeightTypes::target(const CheckpointTensor& tensor, bool tied) const {
  const Part part = part_of(tensor.name, tied);
  const Format* stored = find_format(tensor.type->name);
  if (part == kOther || formats_[part] == nullptr || stored == nullptr || tensor.shape.size() < 2) return nullptr;
  const uint64_t n = tensor.shape.back();
  const Format* target = that_fits(formats_[part], n);
  if (target == nullptr || target->row_bytes(n) >= stored->row_bytes(n)) return nullptr;
  return target;
}

}  // namespace kette
