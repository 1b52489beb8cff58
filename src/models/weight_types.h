// Which format a matrix is held in: as the file has it, or another that it is encoded to while the model opens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "file/checkpoint.h"
#include "quant/format.h"

namespace kette {

inline constexpr std::string_view kWeightTypes[] = {"q8_0", "q4_0", "q4_k"};

// One of them for the whole model; or a type for each part: "experts=q4_k,attention=q8_0,head=q8_0", where
// what is not named stays as stored.
//   embedding, head   the token embedding and the output matrix; q8_0 where the whole model gets a 4-bit type, for they
//                     are looked up and not averaged over. Where one matrix is both, head decides.
//   attention         the projections of attention
//   experts           the routed experts
//   mlp               the other feed-forward matrices, shared experts included
// Norms, biases and routers always stay as stored, and so does a matrix that the file has in no more bytes than its
// type would take. Rows that a type's blocks do not divide take the next that fits: q4_k then q4_1 then as stored.
class WeightTypes {
 public:
  static Result<WeightTypes> parse(std::string_view text);  // empty: all as stored

  // What a tensor becomes; nullptr: it stays as stored. `tied`: the embedding is the head as well.
  const Format* target(const CheckpointTensor& tensor, bool tied) const;
  bool any() const;

 private:
  enum Part { kEmbedding, kHead, kAttention, kExperts, kMlp, kParts, kOther };
  static Part part_of(std::string_view name, bool tied);
  const Format* formats_[kParts] = {};
};

// A tensor that is encoded.
struct EncodedTensor {
  const CheckpointTensor* tensor;
  const Format* format;
  uint64_t bytes;  // in that format
};

}  // namespace kette
