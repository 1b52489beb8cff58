#include "chat/text.h"

#include <algorithm>

namespace kette::jinja {

std::string excerpt(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  if (text.size() > limit) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.pop_back();
    out += "...";
  }
  return out;
}

size_t Text::cuts_before(size_t offset) const {
  return static_cast<size_t>(std::upper_bound(cuts_.begin(), cuts_.end(), offset) - cuts_.begin());
}

void Text::append(std::string_view bytes, bool literal) {
  if (bytes.empty()) return;
  const bool last_literal = first_literal_ != ((cuts_.size() & 1) != 0);
  if (bytes_.empty()) {
    first_literal_ = literal;
    cuts_.clear();
  } else if (last_literal != literal) {
    cuts_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  bytes_.append(bytes);
}

void Text::append(const Text& from, size_t begin, size_t end) {
  from.for_each_run(begin, end, [&](std::string_view run, bool literal) { append(run, literal); });
}

TextBuilder::TextBuilder(TextBuilder&& other) noexcept
    : budget_(other.budget_), text_(std::move(other.text_)), charged_(std::exchange(other.charged_, 0)) {}

bool TextBuilder::pay(size_t bytes, size_t runs) {
  const size_t cost = bytes + runs * sizeof(uint32_t);
  budget_->spend(1 + cost / 64);
  if (!budget_->ok() || !budget_->charge(cost)) return false;
  charged_ += cost;
  return true;
}

void TextBuilder::append(std::string_view bytes, bool literal) {
  if (pay(bytes.size(), 1)) text_.append(bytes, literal);
}

void TextBuilder::append(const Text& from, size_t begin, size_t end) {
  if (begin < end && pay(end - begin, std::min(from.cuts() + 1, end - begin))) text_.append(from, begin, end);
}

Text TextBuilder::take() {
  budget_->release(std::exchange(charged_, 0));
  return std::exchange(text_, Text());
}

CodePoint decode_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[offset + i])); };
  const uint32_t first = byte(0);
  const uint32_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (length <= 1 || length > text.size() - offset) return {first, 1};
  uint32_t value = first & (0xFFu >> (length + 1));
  for (uint32_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {first, 1};
    value = value << 6 | (byte(i) & 0x3F);
  }
  return {value, length};
}

void encode_utf8(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

bool valid_utf8(std::string_view text) {
  static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_at(text, i);
    if (c.length == 1 && static_cast<unsigned char>(text[i]) >= 0x80) return false;
    if (c.value < kSmallest[c.length] || c.value > 0x10FFFF || (c.value >= 0xD800 && c.value < 0xE000)) return false;
    i += c.length;
  }
  return true;
}

int64_t count_code_points(std::string_view text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

size_t previous_start(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && end - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

bool is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace kette::jinja
