// GGUF's tokenizer.ggml.* keys -> Vocabulary. The format names a pre-tokenizer instead of giving its patterns; a name
// that Kette does not know to be exact is refused.
// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include <algorithm>
#include <iterator>

#include "file/printable.h"
#include "text/byte_level.h"
#include "text/vocabulary.h"

namespace kette {
namespace {

// Values of tokenizer.ggml.token_type.
constexpr int64_t kUnknownType = 2;
constexpr int64_t kControlType = 3;
constexpr int64_t kUserDefinedType = 4;
constexpr int64_t kUnusedType = 5;

struct KnownPre {
  std::string_view name;
  std::vector<SplitStage> split;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;  // where the file does not say
};

const KnownPre* find_pre(std::string_view name, const std::vector<KnownPre>& known) {
  const auto found = std::find_if(known.begin(), known.end(), [&](const KnownPre& pre) { return pre.name == name; });
  return found == known.end() ? nullptr : &*found;
}

std::vector<KnownPre> known_pres() {
  const std::vector<SplitStage> llama3{SplitStage::kLlama3};
  const std::vector<SplitStage> qwen2{SplitStage::kQwen2};
  const std::vector<SplitStage> deepseek_v3{SplitStage::kThreeDigits, SplitStage::kHanKana, SplitStage::kDeepSeekV3};
  const std::vector<SplitStage> deepseek_v2{
      SplitStage::kLineBreak,      SplitStage::kDeepSeekV2Word, SplitStage::kDeepSeekV2Punctuation,
      SplitStage::kTrailingSpaces, SplitStage::kDeepSeekV2Han,  SplitStage::kDigit};
  const std::vector<SplitStage> gpt2{SplitStage::kGpt2};
  const std::vector<SplitStage> digits_gpt2{SplitStage::kDigit, SplitStage::kGpt2};
  return {
      {"llama-bpe", llama3, false, true, true},
      {"llama3", llama3, false, true, true},
      {"llama-v3", llama3, false, true, true},
      {"qwen2", qwen2, true},
      {"deepseek-r1-qwen", qwen2},
      {"deepseek-v3", deepseek_v3},
      {"deepseek-llm", deepseek_v2},
      {"gpt-2", gpt2},
      {"phi-2", gpt2},
      {"smollm", digits_gpt2},
      {"starcoder", digits_gpt2},
      {"refact", digits_gpt2},
  };
}

Result<std::optional<int32_t>> token_id(const Gguf& gguf, const char* key, size_t vocabulary) {
  const auto id = gguf.integer(key);
  if (!id) return std::optional<int32_t>();
  if (*id < 0 || static_cast<uint64_t>(*id) >= vocabulary)
    return error(Code::kCorrupt, "{}: {} is outside the vocabulary of {}", key, *id, vocabulary);
  return std::optional<int32_t>(static_cast<int32_t>(*id));
}

Status read_tokens(const Gguf& gguf, Vocabulary& vocabulary) {
  const auto tokens = gguf.strings("tokenizer.ggml.tokens");
  if (!tokens) return error(Code::kFormat, "tokenizer.ggml.tokens: missing, or no array of strings");
  if (tokens->size() > static_cast<size_t>(kMaxTokenId))
    return error(Code::kUnsupported, "tokenizer.ggml.tokens: {} tokens, at most {}", tokens->size(), kMaxTokenId);
  const bool typed = gguf.has("tokenizer.ggml.token_type");
  const auto types = gguf.integers("tokenizer.ggml.token_type");
  if (typed && (!types || types->size() != tokens->size()))
    return error(Code::kFormat, "tokenizer.ggml.token_type: expected {} integers, found {}", tokens->size(),
                 types ? types->size() : 0);
  vocabulary.tokens.assign(tokens->begin(), tokens->end());
  for (size_t id = 0; typed && id < tokens->size(); ++id) {
    const int64_t type = (*types)[id];
    if (type == kUnusedType) vocabulary.tokens[id].clear();
    if (type != kControlType && type != kUnknownType && type != kUserDefinedType) continue;
    AddedToken added;
    added.id = static_cast<int32_t>(id);
    added.content = vocabulary.tokens[id];
    added.special = type != kUserDefinedType;
    // The text itself, not its spelling in the byte-level alphabet; only printable ASCII is the same in both.
    if (bytes_of_spelling(added.content) != added.content) vocabulary.tokens[id].clear();
    vocabulary.added.push_back(std::move(added));
  }
  return {};
}

Status read_merges(const Gguf& gguf, Vocabulary& vocabulary) {
  const auto merges = gguf.strings("tokenizer.ggml.merges");
  if (!merges) return error(Code::kFormat, "tokenizer.ggml.merges: missing, or no array of strings");
  vocabulary.merges.reserve(merges->size());
  for (const std::string_view line : *merges) {
    // A token may itself hold a space only behind its first character.
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos)
      return error(Code::kFormat, "tokenizer.ggml.merges: {} is not two tokens", printable(line));
    vocabulary.merges.push_back({std::string(line.substr(0, space)), std::string(line.substr(space + 1))});
  }
  return {};
}

}  // namespace

Result<Vocabulary> vocabulary_from_gguf(const Gguf& gguf) {
  const auto model = gguf.string("tokenizer.ggml.model");
  if (!model) return error(Code::kFormat, "tokenizer.ggml.model: missing, or no string");
  if (*model != "gpt2")
    return error(Code::kUnsupported, "tokenizer.ggml.model: {} is not supported, only gpt2 (byte-level BPE)",
                 printable(*model));
  const auto pre_name = gguf.string("tokenizer.ggml.pre");
  if (!pre_name) return error(Code::kUnsupported, "tokenizer.ggml.pre: missing, so the pre-tokenizer is unknown");
  const std::vector<KnownPre> known = known_pres();
  const KnownPre* pre = find_pre(*pre_name, known);
  if (pre == nullptr) return error(Code::kUnsupported, "tokenizer.ggml.pre: {} is not supported", printable(*pre_name));

  Vocabulary vocabulary;
  vocabulary.split = pre->split;
  vocabulary.nfc = pre->nfc;
  vocabulary.ignore_merges = pre->ignore_merges;
  KETTE_TRY(read_tokens(gguf, vocabulary));
  KETTE_TRY(read_merges(gguf, vocabulary));
  const size_t size = vocabulary.tokens.size();
  KETTE_ASSIGN(vocabulary.bos, token_id(gguf, "tokenizer.ggml.bos_token_id", size));
  KETTE_ASSIGN(vocabulary.eos, token_id(gguf, "tokenizer.ggml.eos_token_id", size));
  KETTE_ASSIGN(vocabulary.unknown, token_id(gguf, "tokenizer.ggml.unknown_token_id", size));
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    KETTE_ASSIGN(const std::optional<int32_t> id, token_id(gguf, key, size));
    if (id) vocabulary.end_of_turn.push_back(*id);
  }
  if (vocabulary.bos && gguf.boolean("tokenizer.ggml.add_bos_token").value_or(pre->adds_bos))
    vocabulary.prefix.push_back(*vocabulary.bos);
  if (vocabulary.eos && gguf.boolean("tokenizer.ggml.add_eos_token").value_or(false))
    vocabulary.suffix.push_back(*vocabulary.eos);
  return vocabulary;
}

}  // namespace kette
