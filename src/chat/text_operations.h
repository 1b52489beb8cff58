// Python's str operations on texts that keep their provenance byte by byte.
#pragma once

#include "chat/runtime.h"

namespace kette::jinja {

enum class Case { kUpper, kLower, kCapitalize, kTitle, kJinjaTitle };

// Where `part` stands in `text`, in time linear in both; npos: nowhere. The last place costs steps for long parts.
size_t find_text(std::string_view text, std::string_view part, size_t from = 0);
size_t find_last(Budget& budget, std::string_view text, std::string_view part, size_t from = std::string_view::npos);

Value change_case(Runtime& rt, const Text& text, Case to);
Value strip(Runtime& rt, const Text& text, const Value& characters, bool left, bool right);     // none: white space
Value replace(Runtime& rt, const Text& text, const Text& from, const Text& to, int64_t count);  // count < 0: all
Value split(Runtime& rt, const Text& text, const Value& separator, int64_t limit, bool from_right);  // limit < 0: none
std::vector<Value> split_lines(Runtime& rt, const Text& text, bool keep_ends);
Value join(Runtime& rt, const Text& separator, const std::vector<Value>& items);  // str() of each
Value indent(Runtime& rt, const Value& text, const Text& margin, bool first, bool blank);
Value substring(Runtime& rt, const Text& text, size_t begin, size_t end);

}  // namespace kette::jinja
