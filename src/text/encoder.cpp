#include "text/encoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "text/nfc.h"

namespace kette {
namespace {

// Words of this call and their tokens. Text repeats its words: on English nine of ten are found here.
class WordCache {
 public:
  static constexpr size_t kMaxWord = 16;

  explicit WordCache(size_t text_bytes) {
    if (text_bytes >= 512) slots_.resize(std::clamp<size_t>(std::bit_ceil(text_bytes / 32), 64, 16384));
  }

  struct Slot {
    uint64_t bytes[2] = {};
    uint32_t first = 0;  // index of the word's first token in the output
    uint16_t count = 0;
    uint16_t size = 0;  // of the word; 0: free
  };
  // The word's slot, which may hold another word; nullptr if the word is not to be cached.
  Slot* slot_of(std::string_view word, Slot& key) {
    if (slots_.empty() || word.size() > kMaxWord) return nullptr;
    std::memcpy(key.bytes, word.data(), word.size());
    key.size = static_cast<uint16_t>(word.size());
    const uint64_t hash = (key.bytes[0] ^ std::rotl(key.bytes[1], 23) ^ key.size) * 0x9E3779B97F4A7C15u;
    return &slots_[static_cast<size_t>(hash >> 40) & (slots_.size() - 1)];
  }

 private:
  std::vector<Slot> slots_;
};

class Encoding {
 public:
  Encoding(const EncoderParts& parts, std::span<const Stretch> stretches, size_t bytes, std::vector<int32_t>& out)
      : parts_(parts), stretches_(stretches), out_(out), cache_(bytes) {}

  Status run(std::string_view text) {
    size_t at = 0;
    for (const AddedMatch& match : parts_.raw.find(text, stretches_)) {
      KETTE_TRY(gap(text, at, match.begin));
      out_.push_back(match.id);
      at = match.end;
    }
    return gap(text, at, text.size());
  }

 private:
  // text[begin..end], which holds no raw added token.
  Status gap(std::string_view text, size_t begin, size_t end) {
    if (begin == end) return {};
    const std::string_view part = text.substr(begin, end - begin);
    const bool change = parts_.nfc && may_change_under_nfc(part);
    if (!change && parts_.normalized.empty()) return words(part);

    // Each stretch is normalized by itself, so that what may be parsed as a control token stays known.
    std::string changed;
    std::vector<Stretch> stretches;
    for (size_t at = begin; at < end;) {
      while (stretches_[stretch_].end <= at) ++stretch_;
      const size_t stop = std::min(end, stretches_[stretch_].end);
      if (change) changed += to_nfc(text.substr(at, stop - at));
      stretches.push_back({change ? changed.size() : stop - begin, stretches_[stretch_].special});
      at = stop;
    }
    return normalized(change ? std::string_view(changed) : part, stretches);
  }

  Status normalized(std::string_view text, std::span<const Stretch> stretches) {
    size_t at = 0;
    for (const AddedMatch& match : parts_.normalized.find(text, stretches)) {
      KETTE_TRY(words(text.substr(at, match.begin - at)));
      out_.push_back(match.id);
      at = match.end;
    }
    return words(text.substr(at));
  }

  Status words(std::string_view text) {
    Status status;
    split_words(parts_.split, text, [&](std::string_view word) {
      if (status.ok()) status = this->word(word);
    });
    return status;
  }

  Status word(std::string_view word) {
    WordCache::Slot key;
    WordCache::Slot* slot = cache_.slot_of(word, key);
    if (slot == nullptr) return parts_.bpe.encode(word, workspace_, out_);
    if (slot->size == key.size && slot->bytes[0] == key.bytes[0] && slot->bytes[1] == key.bytes[1]) {
      for (size_t i = 0; i < slot->count; ++i) out_.push_back(out_[slot->first + i]);
      return {};
    }
    key.first = static_cast<uint32_t>(out_.size());
    KETTE_TRY(parts_.bpe.encode(word, workspace_, out_));
    key.count = static_cast<uint16_t>(out_.size() - key.first);
    *slot = key;
    return {};
  }

  const EncoderParts& parts_;
  std::span<const Stretch> stretches_;
  size_t stretch_ = 0;  // the one the next gap begins in, or an earlier one
  std::vector<int32_t>& out_;
  WordCache cache_;
  Bpe::Workspace workspace_;
};

}  // namespace

Status encode_text(const EncoderParts& parts, std::string_view text, std::span<const Stretch> stretches,
                   std::vector<int32_t>& out) {
  if (text.empty()) return {};
  return Encoding(parts, stretches, text.size(), out).run(text);
}

}  // namespace kette
