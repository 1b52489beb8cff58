// Text -> tokens in one call: added tokens are cut out, the rest is normalized, split into words and merged.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"

namespace kette {

// The immutable parts, shared by all calls.
struct EncoderParts {
  AddedTokens raw;         // searched in the text as it is
  AddedTokens normalized;  // searched in the normalized text
  bool nfc = false;
  std::vector<SplitStage> split;
  Bpe bpe;
};

// Limit of one text: offsets are 32 bits wide.
inline constexpr size_t kMaxTextBytes = (size_t{1} << 31) - 1;

// Appends the tokens of `text`. `stretches` cover it.
Status encode_text(const EncoderParts& parts, std::string_view text, std::span<const Stretch> stretches,
                   std::vector<int32_t>& out);

}  // namespace kette
