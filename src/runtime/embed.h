// Texts -> vectors: a model's hidden states after its last norm, pooled over a text's tokens.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "runtime/loaded_model.h"

namespace kette {

enum class Pooling { kMean, kLast, kCls };  // of all tokens; of the last; of the first

struct EmbedOptions {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;  // to a length of 1
  const CancelFlag* cancel = nullptr;
};

// [texts.size()][hidden_size]. Texts get the special tokens that the model's tokenizer adds, and spellings of special
// tokens stay text. kContextFull names the first text that is too long.
Result<std::vector<float>> embed(const LoadedModel& loaded, std::span<const std::string_view> texts,
                                 const EmbedOptions& options);

}  // namespace kette
