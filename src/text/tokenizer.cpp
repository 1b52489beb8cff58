#include "text/tokenizer.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/encoder.h"
#include "text/string_index.h"
#include "text/vocabulary.h"

namespace kette {
namespace {

// Spellings that end a turn or a text in the models' chat formats; for EOS, where a file names none, the first one there.
constexpr std::string_view kEndSpellings[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<｜end▁of▁sentence｜>", "<|EOT|>", "<|end_of_text|>", "<|endoftext|>",
};

}  // namespace

struct Tokenizer::Impl {
  Status build(Vocabulary vocabulary);
  std::string_view bytes_of(size_t id) const {
    return std::string_view(bytes).substr(begins[id], begins[id + 1] - begins[id]);
  }
  bool knows(Token token) const { return token >= 0 && static_cast<size_t>(token) < size(); }
  size_t size() const { return special.size(); }

  EncoderParts parts;
  std::string bytes;             // of all tokens, in order of id
  std::vector<uint32_t> begins;  // [size() + 1]
  std::vector<bool> special;
  std::vector<std::string> added_spellings;
  StringIndex added;  // views of added_spellings
  std::optional<Token> bos;
  std::optional<Token> eos;
  std::vector<Token> ends;
  std::vector<Token> prefix;
  std::vector<Token> suffix;

 private:
  Status find_ends(const Vocabulary& vocabulary);
};

// A model token's bytes are what its spelling stands for in the byte-level alphabet; an added token's, and those of a
// spelling that is not wholly in the alphabet, the spelling itself (as Hugging Face's decoder has it).
Status Tokenizer::Impl::build(Vocabulary vocabulary) {
  size_t count = vocabulary.tokens.size();
  for (const AddedToken& token : vocabulary.added) count = std::max(count, static_cast<size_t>(token.id) + 1);
  if (count == 0) return error(Code::kFormat, "vocabulary: no tokens");
  std::vector<const AddedToken*> added_by_id(count);
  special.resize(count);
  for (const AddedToken& token : vocabulary.added) {
    added_by_id[static_cast<size_t>(token.id)] = &token;
    if (token.special) special[static_cast<size_t>(token.id)] = true;
  }

  std::vector<bool> mergeable(count);  // what merging may make of text: the model's tokens, but never a control token
  begins.reserve(count + 1);
  begins.push_back(0);
  for (size_t id = 0; id < count; ++id) {
    const std::string_view spelling =
        id < vocabulary.tokens.size() ? std::string_view(vocabulary.tokens[id]) : std::string_view();
    const auto spelled = bytes_of_spelling(spelling);
    const bool of_model = spelled && !spelled->empty();
    const AddedToken* token = added_by_id[id];
    mergeable[id] = of_model && (token == nullptr || !is_control(*token));
    bytes += of_model ? std::string_view(*spelled) : token != nullptr ? std::string_view(token->content) : spelling;
    if (bytes.size() > UINT32_MAX) return error(Code::kUnsupported, "vocabulary: over 4 GiB of tokens");
    begins.push_back(static_cast<uint32_t>(bytes.size()));
  }
  std::vector<std::string_view> model_bytes(count);
  for (size_t id = 0; id < count; ++id)
    if (mergeable[id]) model_bytes[id] = bytes_of(id);
  KETTE_TRY(parts.bpe.build(vocabulary, model_bytes));

  KETTE_TRY(find_ends(vocabulary));
  prefix = vocabulary.prefix;
  suffix = vocabulary.suffix;
  for (const auto* list : {&prefix, &suffix, &ends})
    for (const Token token : *list)
      if (!knows(token)) return error(Code::kCorrupt, "token {} is outside the vocabulary of {}", token, count);

  parts.nfc = vocabulary.nfc;
  parts.split = std::move(vocabulary.split);
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (AddedToken& token : vocabulary.added) (token.normalized ? normalized : raw).push_back(std::move(token));
  KETTE_TRY(parts.raw.build(std::move(raw)));
  return parts.normalized.build(std::move(normalized));
}

Status Tokenizer::Impl::find_ends(const Vocabulary& vocabulary) {
  std::vector<Token> ids;
  for (const AddedToken& token : vocabulary.added) {
    added_spellings.push_back(token.content);
    ids.push_back(token.id);
  }
  if (!added.build({added_spellings.begin(), added_spellings.end()}, ids))
    return error(Code::kCorrupt, "added tokens: spellings made to collide");
  bos = vocabulary.bos;
  eos = vocabulary.eos;
  if (eos) ends.push_back(*eos);
  ends.insert(ends.end(), vocabulary.end_of_turn.begin(), vocabulary.end_of_turn.end());
  for (const std::string_view spelling : kEndSpellings)
    if (const Token token = added.find(spelling); token >= 0) ends.push_back(token);
  if (!eos && !ends.empty()) eos = ends.front();
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return {};
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::from_gguf(const Gguf& gguf) {
  KETTE_ASSIGN(Vocabulary vocabulary, vocabulary_from_gguf(gguf));
  auto impl = std::make_unique<Impl>();
  KETTE_TRY(impl->build(std::move(vocabulary)));
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json) {
  KETTE_ASSIGN(Vocabulary vocabulary, vocabulary_from_json(tokenizer_json, tokenizer_config_json));
  auto impl = std::make_unique<Impl>();
  KETTE_TRY(impl->build(std::move(vocabulary)));
  return Tokenizer(std::move(impl));
}

Result<std::vector<Token>> Tokenizer::encode(std::span<const TextSpan> spans, bool add_special) const {
  size_t total = 0;
  for (const TextSpan& span : spans) {
    if (span.text.size() > kMaxTextBytes - total)
      return error(Code::kInvalidArgument, "text: more than {} bytes", kMaxTextBytes);
    total += span.text.size();
  }
  std::string joined;
  if (spans.size() > 1) joined.reserve(total);
  std::vector<Stretch> stretches;
  size_t end = 0;
  for (const TextSpan& span : spans) {
    if (spans.size() > 1) joined += span.text;
    end += span.text.size();
    if (!stretches.empty() && stretches.back().special == span.special)
      stretches.back().end = end;
    else if (!span.text.empty())
      stretches.push_back({end, span.special});
  }
  const std::string_view text = spans.size() == 1 ? spans.front().text : std::string_view(joined);
  std::vector<Token> tokens;
  if (add_special) tokens = impl_->prefix;
  KETTE_TRY(encode_text(impl_->parts, text, stretches, tokens));
  if (add_special) tokens.insert(tokens.end(), impl_->suffix.begin(), impl_->suffix.end());
  return tokens;
}

Result<std::vector<Token>> Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  const TextSpan span{text, parse_special};
  return encode(std::span(&span, 1), add_special);
}

Result<std::string> Tokenizer::decode(std::span<const Token> tokens, bool skip_special) const {
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!impl_->knows(tokens[i]))
      return error(Code::kInvalidArgument, "token {}: {} is outside the vocabulary of {}", i, tokens[i], vocab_size());
    if (!skip_special || !is_special(tokens[i])) out += impl_->bytes_of(static_cast<size_t>(tokens[i]));
  }
  return out;
}

std::string_view Tokenizer::bytes_of(Token token) const {
  return impl_->knows(token) ? impl_->bytes_of(static_cast<size_t>(token)) : std::string_view();
}

size_t Tokenizer::vocab_size() const { return impl_->size(); }

bool Tokenizer::is_special(Token token) const {
  return impl_->knows(token) && impl_->special[static_cast<size_t>(token)];
}

std::optional<Token> Tokenizer::find_special(std::string_view spelling) const {
  const Token token = impl_->added.find(spelling);
  return token >= 0 ? std::optional<Token>(token) : std::nullopt;
}

std::optional<Token> Tokenizer::bos() const { return impl_->bos; }
std::optional<Token> Tokenizer::eos() const { return impl_->eos; }
std::span<const Token> Tokenizer::end_of_generation() const { return impl_->ends; }
bool Tokenizer::adds_bos() const {
  return impl_->bos && !impl_->prefix.empty() && impl_->prefix.front() == *impl_->bos;
}

}  // namespace kette
