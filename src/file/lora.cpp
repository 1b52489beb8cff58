#include "file/lora.h"

#include "file/printable.h"

namespace kette {

Status LoraPairs::add(std::string name, Half half, CheckpointTensor tensor) {
  if (tensor.shape.size() != 2)
    return error(Code::kCorrupt, "{}: shape [{}], expected a matrix", printable(tensor.name, 96),
                 fmt::join(tensor.shape, ", "));
  Halves& halves = halves_[std::move(name)];
  std::optional<CheckpointTensor>& place = half == Half::kA ? halves.a : halves.b;
  if (place) return error(Code::kCorrupt, "{}: means the same as {}", printable(tensor.name, 96), place->name);
  place = std::move(tensor);
  return {};
}

Result<std::vector<LoraPair>> LoraPairs::take() && {
  if (halves_.empty()) return error(Code::kCorrupt, "no low-rank pairs in it");
  std::vector<LoraPair> pairs;
  for (auto& [name, halves] : halves_) {
    auto& [a, b] = halves;
    if (!a || !b) return error(Code::kCorrupt, "{}: without its other half", printable(a ? a->name : b->name, 96));
    if (a->shape[0] != b->shape[1])
      return error(Code::kCorrupt, "{}: shape [{}], {}: shape [{}], expected [rank, in] and [out, rank]",
                   printable(a->name, 96), fmt::join(a->shape, ", "), printable(b->name, 96),
                   fmt::join(b->shape, ", "));
    pairs.push_back({name, std::move(*a), std::move(*b)});
  }
  return pairs;
}

}  // namespace kette
