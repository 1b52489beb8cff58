// Bytes (UTF-8) that know their provenance: literal (from the template's source) or data (from a message).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/budget.h"

namespace kette::jinja {

class Text {
 public:
  Text() = default;
  Text(std::string bytes, bool literal) : bytes_(std::move(bytes)), first_literal_(literal) {}

  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  size_t cuts() const { return cuts_.size(); }
  bool literal_at(size_t offset) const { return first_literal_ != ((cuts_before(offset) & 1) != 0); }

  void append(std::string_view bytes, bool literal);
  void append(const Text& from, size_t begin, size_t end);

  // f(std::string_view run, bool literal) for each maximal run of one kind inside [begin, end).
  template <class F>
  void for_each_run(size_t begin, size_t end, F&& f) const {
    size_t cut = cuts_before(begin);
    bool literal = first_literal_ != ((cut & 1) != 0);
    while (begin < end) {
      const size_t stop = cut < cuts_.size() && cuts_[cut] < end ? cuts_[cut] : end;
      f(std::string_view(bytes_).substr(begin, stop - begin), literal);
      begin = stop;
      ++cut;
      literal = !literal;
    }
  }

 private:
  size_t cuts_before(size_t offset) const;  // number of cuts at or before offset

  std::string bytes_;
  std::vector<uint32_t> cuts_;  // ascending offsets inside (0, size) where the kind flips
  bool first_literal_ = true;
};

// A Text under construction: pays for what it takes and stops growing once the budget has failed.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(&budget) {}
  TextBuilder(TextBuilder&& other) noexcept;
  TextBuilder& operator=(TextBuilder&&) = delete;
  ~TextBuilder() { budget_->release(charged_); }

  void append(std::string_view bytes, bool literal);
  void append(const Text& from, size_t begin, size_t end);
  void append(const Text& from) { append(from, 0, from.size()); }
  size_t size() const { return text_.size(); }
  Budget& budget() { return *budget_; }
  Text take();  // hands the bytes over, and their charge back

 private:
  bool pay(size_t bytes, size_t runs);

  Budget* budget_;
  Text text_;
  size_t charged_ = 0;
};

// UTF-8 by code points. All are safe on any bytes; a stray byte counts as one code point.
struct CodePoint {
  uint32_t value;
  uint32_t length;
};
CodePoint decode_at(std::string_view text, size_t offset);
void encode_utf8(uint32_t code_point, std::string& out);
bool valid_utf8(std::string_view text);
int64_t count_code_points(std::string_view text);
size_t previous_start(std::string_view text, size_t end);  // start of the code point that ends at `end` > 0

bool is_space(uint32_t code_point);       // Python's str.isspace
bool is_line_break(uint32_t code_point);  // where Python's str.splitlines splits

}  // namespace kette::jinja
