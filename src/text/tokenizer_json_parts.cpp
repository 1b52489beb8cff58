#include "text/tokenizer_json_parts.h"

#include <algorithm>
#include <functional>

#include "file/printable.h"

namespace kette {
namespace {

using nlohmann::json;

std::string string_field(const json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag(const json& object, const char* name, bool otherwise) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

Status refuse(const char* part, const std::string& kind) {
  return error(Code::kUnsupported, "tokenizer.json: {} {} is not supported", part, printable(kind));
}

// Calls visit(step) for the steps of a part that is null, one step, or a (nested) Sequence of them under `list`.
Status for_each_step(const char* part, const json& root, const char* list,
                     const std::function<Status(const std::string& kind, const json& step)>& visit) {
  if (root.is_null()) return {};
  std::vector<const json*> open{&root};
  while (!open.empty()) {
    const json& step = *open.back();
    open.pop_back();
    const std::string kind = string_field(step, "type");
    if (kind.empty()) return error(Code::kFormat, "tokenizer.json: {}: no type", part);
    if (kind != "Sequence") {
      KETTE_TRY(visit(kind, step));
      continue;
    }
    const auto steps = step.find(list);
    if (steps == step.end() || !steps->is_array())
      return error(Code::kFormat, "tokenizer.json: {}: Sequence without {}", part, list);
    for (auto inner = steps->rbegin(); inner != steps->rend(); ++inner) open.push_back(&*inner);
  }
  return {};
}

std::optional<int32_t> find_token(const Vocabulary& vocabulary, std::string_view spelling) {
  for (const AddedToken& added : vocabulary.added)
    if (added.content == spelling) return added.id;
  const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), spelling);
  if (spelling.empty() || found == vocabulary.tokens.end()) return std::nullopt;
  return static_cast<int32_t>(found - vocabulary.tokens.begin());
}

Status apply_model(const json& model, Vocabulary& vocabulary) {
  if (!model.is_object()) return error(Code::kFormat, "tokenizer.json: no model");
  // Files older than the field have no type.
  if (model.contains("type") && string_field(model, "type") != "BPE")
    return refuse("model", string_field(model, "type"));
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!string_field(model, name).empty()) return refuse("model BPE with", name);
  if (const auto dropout = model.find("dropout");
      dropout != model.end() && dropout->is_number() && dropout->get<double>() != 0)
    return refuse("model BPE with", "dropout");
  vocabulary.ignore_merges = flag(model, "ignore_merges", false);
  vocabulary.fuse_unknown = flag(model, "fuse_unk", false);
  vocabulary.unknown = find_token(vocabulary, string_field(model, "unk_token"));
  return {};
}

struct KnownPattern {
  std::string_view pattern;  // line breaks written \r and \n
  SplitStage stage;
};

constexpr KnownPattern kKnownPatterns[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitStage::kLlama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitStage::kQwen2},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", SplitStage::kGpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", SplitStage::kGpt2},
    {R"(\p{N}{1,3})", SplitStage::kThreeDigits},
    {R"(\p{N}+)", SplitStage::kDigitRun},
    {R"(\p{N})", SplitStage::kDigit},
    {kHanKanaPattern, SplitStage::kHanKana},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitStage::kDeepSeekV3},
    {R"([\r\n])", SplitStage::kLineBreak},
    {R"(\s+$)", SplitStage::kTrailingSpaces},
    {kDeepSeekV2WordPattern, SplitStage::kDeepSeekV2Word},
    {kDeepSeekV2PunctuationPattern, SplitStage::kDeepSeekV2Punctuation},
    {kDeepSeekV2HanPattern, SplitStage::kDeepSeekV2Han},
};

Status apply_split(const json& step, Vocabulary& vocabulary) {
  if (string_field(step, "behavior") != "Isolated") return refuse("Split behavior", string_field(step, "behavior"));
  if (flag(step, "invert", false)) return refuse("Split with", "invert");
  std::string pattern;
  const json regex = step.contains("pattern") ? string_field(step["pattern"], "Regex") : std::string();
  for (const char c : regex.get_ref<const std::string&>()) {
    if (c == '\r')
      pattern += "\\r";
    else if (c == '\n')
      pattern += "\\n";
    else
      pattern += c;
  }
  const auto* known = std::find_if(std::begin(kKnownPatterns), std::end(kKnownPatterns),
                                   [&](const KnownPattern& k) { return k.pattern == pattern; });
  if (known == std::end(kKnownPatterns)) return refuse("Split pattern", pattern);
  vocabulary.split.push_back(known->stage);
  return {};
}

Status apply_pre_tokenizer(const json& part, Vocabulary& vocabulary) {
  bool byte_level = false;
  const auto visit = [&](const std::string& kind, const json& step) -> Status {
    // After ByteLevel, patterns would see its alphabet rather than the text.
    if (byte_level) return refuse("pre_tokenizer after ByteLevel:", kind);
    if (vocabulary.split.size() == 8) return error(Code::kUnsupported, "tokenizer.json: pre_tokenizer: over 8 steps");
    if (kind == "Split") return apply_split(step, vocabulary);
    if (kind == "Digits") {
      const bool each = flag(step, "individual_digits", false);
      vocabulary.split.push_back(each ? SplitStage::kDigit : SplitStage::kDigitRun);
      return {};
    }
    if (kind != "ByteLevel") return refuse("pre_tokenizer", kind);
    if (flag(step, "add_prefix_space", false)) return refuse("pre_tokenizer ByteLevel with", "add_prefix_space");
    if (flag(step, "use_regex", true)) vocabulary.split.push_back(SplitStage::kGpt2);
    byte_level = true;
    return {};
  };
  KETTE_TRY(for_each_step("pre_tokenizer", part, "pretokenizers", visit));
  if (!byte_level) return refuse("pre_tokenizer without", "ByteLevel");
  return {};
}

Status append_template_tokens(const json& processor, const json& piece, std::vector<int32_t>& ids) {
  const json& tokens = processor.value("special_tokens", json::object());
  const std::string name = string_field(piece, "id");
  const auto token = tokens.is_object() ? tokens.find(name) : tokens.end();
  if (token == tokens.end() || !token->is_object() || !token->contains("ids") || !(*token)["ids"].is_array())
    return error(Code::kFormat, "tokenizer.json: post_processor: no ids for {}", printable(name));
  for (const json& id : (*token)["ids"]) {
    if (!id.is_number_integer() || id < 0 || id > kMaxTokenId)
      return error(Code::kFormat, "tokenizer.json: post_processor: bad id for {}", printable(name));
    ids.push_back(id.get<int32_t>());
  }
  return {};
}

Status apply_template(const json& processor, Vocabulary& vocabulary) {
  const auto single = processor.find("single");
  if (single == processor.end() || !single->is_array())
    return error(Code::kFormat, "tokenizer.json: post_processor: TemplateProcessing without single");
  bool text_seen = false;
  for (const json& piece : *single) {
    if (!piece.is_object()) return error(Code::kFormat, "tokenizer.json: post_processor: a piece is no object");
    if (piece.contains("Sequence")) {
      if (text_seen) return refuse("post_processor with", "the text twice");
      text_seen = true;
    } else if (piece.contains("SpecialToken")) {
      auto& ids = text_seen ? vocabulary.suffix : vocabulary.prefix;
      KETTE_TRY(append_template_tokens(processor, piece["SpecialToken"], ids));
    } else {
      return refuse("post_processor piece", "of another kind");
    }
  }
  if (!text_seen) return refuse("post_processor without", "the text");
  return {};
}

// The token that tokenizer_config.json calls `name`: a string, or an object with `content`. Files name tokens that their
// vocabulary lacks; that matters only where `required`.
Result<std::optional<int32_t>> config_token(const json& config, const char* name, bool required,
                                            const Vocabulary& vocabulary) {
  const auto value = config.find(name);
  if (value == config.end() || value->is_null()) return std::optional<int32_t>();
  const std::string spelling = value->is_string() ? value->get<std::string>() : string_field(*value, "content");
  const auto token = find_token(vocabulary, spelling);
  if (!token && required)
    return error(Code::kFormat, "tokenizer_config.json: {} {} is not in the vocabulary", name, printable(spelling));
  return token;
}

}  // namespace

json* TokenizerParts::find(std::string_view name) {
  if (name == "normalizer") return &normalizer;
  if (name == "pre_tokenizer") return &pre_tokenizer;
  if (name == "post_processor") return &post_processor;
  if (name == "decoder") return &decoder;
  return nullptr;
}

Status apply_parts(const TokenizerParts& parts, Vocabulary& vocabulary) {
  KETTE_TRY(apply_model(parts.model, vocabulary));
  const auto normalizer = [&](const std::string& kind, const json&) -> Status {
    if (kind != "NFC") return refuse("normalizer", kind);
    vocabulary.nfc = true;
    return {};
  };
  KETTE_TRY(for_each_step("normalizer", parts.normalizer, "normalizers", normalizer));
  KETTE_TRY(apply_pre_tokenizer(parts.pre_tokenizer, vocabulary));
  const auto decoder = [&](const std::string& kind, const json&) -> Status {
    return kind == "ByteLevel" ? Status() : refuse("decoder", kind);
  };
  KETTE_TRY(for_each_step("decoder", parts.decoder, "decoders", decoder));
  bool templated = false;
  const auto post_processor = [&](const std::string& kind, const json& step) -> Status {
    if (kind == "ByteLevel") return {};  // moves offsets only
    if (kind != "TemplateProcessing" || templated) return refuse("post_processor", kind);
    templated = true;
    return apply_template(step, vocabulary);
  };
  KETTE_TRY(for_each_step("post_processor", parts.post_processor, "processors", post_processor));
  return {};
}

Status apply_config(std::string_view text, Vocabulary& vocabulary) {
  json config = json::object();
  if (!text.empty()) config = json::parse(text.begin(), text.end(), nullptr, false);
  if (!config.is_object()) return error(Code::kFormat, "tokenizer_config.json: not a valid JSON object");
  // Where tokenizer.json has a template, that one already says what is added.
  const bool templated = !vocabulary.prefix.empty() || !vocabulary.suffix.empty();
  const bool add_bos = !templated && flag(config, "add_bos_token", false);
  const bool add_eos = !templated && flag(config, "add_eos_token", false);
  KETTE_ASSIGN(vocabulary.bos, config_token(config, "bos_token", add_bos, vocabulary));
  KETTE_ASSIGN(vocabulary.eos, config_token(config, "eos_token", add_eos, vocabulary));
  if (!vocabulary.bos && !vocabulary.prefix.empty()) vocabulary.bos = vocabulary.prefix.front();
  if (add_bos && vocabulary.bos) vocabulary.prefix.push_back(*vocabulary.bos);
  if (add_eos && vocabulary.eos) vocabulary.suffix.push_back(*vocabulary.eos);
  return {};
}

}  // namespace kette
