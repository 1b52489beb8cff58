// tokenizer.json (Hugging Face tokenizers) -> Vocabulary. The large parts (vocabulary, merges, added tokens) go straight
// from the parser's events into vectors; the small ones become JSON values for tokenizer_json_parts.cpp to read.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/tokenizer_json_parts.h"
#include "text/vocabulary.h"

namespace kette {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxSmallValues = 200'000;  // JSON values outside the large parts

class Reader : public nlohmann::json_sax<json> {
 public:
  Vocabulary vocabulary;
  TokenizerParts parts;
  Status status;

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override {
    if (place_ == Place::kAddedField) return added_flag(value);
    return scalar(value);
  }
  bool number_integer(number_integer_t value) override {
    if (place_ == Place::kVocabulary) return token(value);
    if (place_ == Place::kAddedField) return added_number(value);
    return scalar(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return number_integer(value > INT64_MAX ? INT64_MAX : static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool string(string_t& value) override {
    if (place_ == Place::kMerges) return merge_line(value);
    if (place_ == Place::kMergePair) return merge_half(value);
    if (place_ == Place::kAddedField) return added_content(value);
    return scalar(std::move(value));
  }
  bool binary(binary_t&) override { return fail("binary value"); }

  bool key(string_t& value) override {
    key_ = std::move(value);
    if (depth_ == 1) place_ = top_place();
    if (depth_ == 2 && in_model_) place_ = model_place();
    return true;
  }
  bool start_object(size_t) override { return start(json::object()); }
  bool start_array(size_t) override { return start(json::array()); }
  bool end_object() override { return end(); }
  bool end_array() override {
    if (place_ == Place::kMergePair && halves_ != 2) return fail("a merge is not a pair of strings");
    return end();
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    status = error(Code::kFormat, "tokenizer.json: not valid JSON at byte {}", position);
    return false;
  }

  // The spellings, ordered by id.
  Status place_tokens() {
    int32_t last = -1;
    for (const int32_t id : ids_) last = std::max(last, id);
    // Ids may leave holes, but not so many that a few tokens cost much memory.
    if (static_cast<size_t>(last + 1) > ids_.size() * 4 + 65'536)
      return error(Code::kFormat, "tokenizer.json: vocab: id {} with only {} tokens", last, ids_.size());
    vocabulary.tokens.resize(static_cast<size_t>(last + 1));
    for (size_t i = 0; i < ids_.size(); ++i) {
      std::string& spelling = vocabulary.tokens[static_cast<size_t>(ids_[i])];
      if (!spelling.empty() && spelling != spellings_[i])
        return error(Code::kFormat, "tokenizer.json: vocab: id {} is there twice", ids_[i]);
      spelling = std::move(spellings_[i]);
    }
    return {};
  }

 private:
  enum class Place {
    kTop,         // in the outermost object, or before it
    kSkipped,     // in a part that is not read
    kSmall,       // in a part that becomes a JSON value
    kModel,       // in the object "model", at a small field
    kVocabulary,  // in "model.vocab"
    kMerges,      // in "model.merges"
    kMergePair,   // in one of its elements
    kAdded,       // in "added_tokens"
    kAddedField,  // in one of its elements
  };

  bool fail(const char* what) {
    status = error(Code::kFormat, "tokenizer.json: {}", what);
    return false;
  }

  Place top_place() {
    in_model_ = key_ == "model";
    if (in_model_) return Place::kModel;
    if (key_ == "added_tokens") return Place::kAdded;
    json* part = parts.find(key_);
    if (part == nullptr) return Place::kSkipped;
    if (!part->is_null()) duplicate_ = true;
    open_.assign(1, part);
    return Place::kSmall;
  }
  Place model_place() {
    if (key_ == "vocab") return Place::kVocabulary;
    if (key_ == "merges") return Place::kMerges;
    open_.assign(1, &parts.model);
    return Place::kModel;
  }

  bool start(json empty) {
    if (duplicate_) return fail("a part is there twice");
    const bool is_object = empty.is_object();
    if (++depth_ > kMaxDepth) return fail("nested too deep");
    switch (place_) {
      case Place::kTop: return is_object || fail("not an object");
      case Place::kSkipped: return true;
      case Place::kSmall: return small(std::move(empty), true);
      case Place::kModel:
        if (depth_ == 2) {
          if (!is_object) return fail("model is not an object");
          parts.model = json::object();
          return true;
        }
        place_ = Place::kSkipped;  // no field of a model that is read has such a value
        return true;
      case Place::kVocabulary:
        if (depth_ == 3) {
          if (!is_object) place_ = Place::kSkipped;  // a Unigram model: refused by its type
          return true;
        }
        return fail("vocab: an id is not a number");
      case Place::kMerges:
        if (depth_ == 3 && !is_object) return true;
        if (depth_ != 4 || is_object) return fail("merges: not an array of pairs");
        place_ = Place::kMergePair;
        halves_ = 0;
        vocabulary.merges.emplace_back();
        return true;
      case Place::kAdded:
        if (depth_ == 2 && !is_object) return true;
        if (depth_ != 3 || !is_object) return fail("added_tokens: not an array of objects");
        place_ = Place::kAddedField;
        vocabulary.added.emplace_back();
        return true;
      case Place::kMergePair:
      case Place::kAddedField: break;
    }
    return fail("an array or object where none belongs");
  }

  bool end() {
    --depth_;
    if (place_ == Place::kSmall && !open_.empty()) open_.pop_back();
    if (place_ == Place::kMergePair) place_ = Place::kMerges;
    if (place_ == Place::kAddedField) place_ = Place::kAdded;
    if (depth_ <= 1) place_ = Place::kTop;
    return true;
  }

  bool scalar(json value) {
    switch (place_) {
      case Place::kTop: return fail("not an object");
      case Place::kSkipped: return true;
      case Place::kSmall: return small(std::move(value), false);
      case Place::kModel:
        if (depth_ == 2 && ++small_values_ <= kMaxSmallValues) parts.model[key_] = std::move(value);
        return depth_ == 2 || fail("model is not an object");
      case Place::kVocabulary:
        if (depth_ == 2 && value.is_null()) return true;
        return fail("vocab: an id is not a whole number");
      case Place::kMerges:
      case Place::kMergePair: return fail("merges: not strings or pairs of strings");
      case Place::kAdded: return value.is_null() || fail("added_tokens: not an array of objects");
      case Place::kAddedField:
        if (key_ != "id" && key_ != "content" && added_flag_named(key_) == nullptr) return true;
        break;
    }
    return fail("added_tokens: a field has the wrong type");
  }

  // Puts a value into the part being built; `opens`: later values go into it.
  bool small(json value, bool opens) {
    if (duplicate_) return fail("a part is there twice");
    if (++small_values_ > kMaxSmallValues) return fail("too many values");
    if (open_.empty()) return fail("a value where none belongs");
    json* place = open_.back();
    if (place->is_object()) {
      place = &(*place)[key_];
    } else if (place->is_array()) {
      place->push_back(nullptr);
      place = &place->back();
    }
    *place = std::move(value);
    if (opens && place != open_.back()) open_.push_back(place);
    return true;
  }

  bool token(int64_t id) {
    if (depth_ != 3) return fail("vocab is not an object");
    if (id < 0 || id > kMaxTokenId) return fail("vocab: an id is out of range");
    ids_.push_back(static_cast<int32_t>(id));
    spellings_.push_back(std::move(key_));
    return true;
  }
  bool merge_line(std::string& line) {
    if (depth_ != 3) return fail("merges: not an array");
    const size_t space = line.find(' ');
    if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos)
      return fail("merges: a line is not two tokens with a space between them");
    vocabulary.merges.push_back({line.substr(0, space), line.substr(space + 1)});
    return true;
  }
  bool merge_half(std::string& half) {
    if (++halves_ > 2) return fail("a merge is not a pair of strings");
    (halves_ == 1 ? vocabulary.merges.back().left : vocabulary.merges.back().right) = std::move(half);
    return true;
  }
  bool added_number(int64_t value) {
    if (key_ != "id") return scalar(value);
    if (value < 0 || value > kMaxTokenId) return fail("added_tokens: an id is out of range");
    vocabulary.added.back().id = static_cast<int32_t>(value);
    return true;
  }
  bool added_content(std::string& value) {
    if (key_ != "content") return scalar(std::move(value));
    vocabulary.added.back().content = std::move(value);
    return true;
  }
  bool added_flag(bool value) {
    if (bool* flag = added_flag_named(key_)) {
      *flag = value;
      return true;
    }
    return scalar(value);
  }
  bool* added_flag_named(std::string_view name) {
    AddedToken& added = vocabulary.added.back();
    if (name == "special") return &added.special;
    if (name == "normalized") return &added.normalized;
    if (name == "lstrip") return &added.lstrip;
    if (name == "rstrip") return &added.rstrip;
    if (name == "single_word") return &added.single_word;
    return nullptr;
  }

  Place place_ = Place::kTop;
  size_t depth_ = 0;
  bool in_model_ = false;
  bool duplicate_ = false;
  std::string key_;
  std::vector<json*> open_;  // path inside the small part being built; parents stay in place while children are open
  size_t small_values_ = 0;
  int halves_ = 0;
  std::vector<std::string> spellings_;
  std::vector<int32_t> ids_;
};

}  // namespace

Result<Vocabulary> vocabulary_from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json) {
  Reader reader;
  if (!json::sax_parse(tokenizer_json.begin(), tokenizer_json.end(), &reader)) {
    if (reader.status.ok()) return error(Code::kFormat, "tokenizer.json: not valid JSON");
    return std::move(reader.status);
  }
  KETTE_TRY(reader.place_tokens());
  for (const AddedToken& added : reader.vocabulary.added)
    if (added.id < 0) return error(Code::kFormat, "tokenizer.json: added_tokens: a token has no id");
  KETTE_TRY(apply_parts(reader.parts, reader.vocabulary));
  KETTE_TRY(apply_config(tokenizer_config_json, reader.vocabulary));
  return std::move(reader.vocabulary);
}

}  // namespace kette
