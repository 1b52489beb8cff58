#include "chat/text_operations.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "chat/python_text.h"

namespace kette::jinja {
namespace {

constexpr uint32_t kSharpS = 0xDF;  // the one common letter whose capital is two letters

bool cased(uint32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT: return true;
    default: return false;
  }
}

void append_upper(uint32_t c, bool title, std::string& out) {
  if (c == kSharpS) {
    out += title ? "Ss" : "SS";
  } else {
    const auto code = static_cast<utf8proc_int32_t>(c);
    encode_utf8(static_cast<uint32_t>(title ? utf8proc_totitle(code) : utf8proc_toupper(code)), out);
  }
}

bool starts_jinja_word(uint32_t previous) {  // jinja2.filters._word_beginning_split_re
  return is_space(previous) ||
         (previous < 0x80 && std::string_view("-({[<").find(static_cast<char>(previous)) != std::string_view::npos);
}

bool in_set(uint32_t c, std::string_view set) {
  for (size_t i = 0; i < set.size();) {
    const CodePoint member = decode_at(set, i);
    if (member.value == c) return true;
    i += member.length;
  }
  return false;
}

Value split_on_space(Runtime& rt, const Text& text, int64_t limit, bool from_right) {
  const std::string_view bytes = text.view();
  std::vector<std::pair<size_t, size_t>> words;
  for (size_t i = 0; i < bytes.size();) {
    const CodePoint c = decode_at(bytes, i);
    if (!is_space(c.value)) {
      if (words.empty() || words.back().second != i) words.emplace_back(i, i);
      words.back().second = i + c.length;
    }
    i += c.length;
  }
  // What is left beyond the limit stays one piece, trimmed on the outer side only: the text between its words is kept.
  const size_t count = words.size();
  if (limit >= 0 && count > static_cast<size_t>(limit)) {
    const auto n = static_cast<size_t>(limit);
    if (from_right) {
      words[count - n - 1] = {0, words[count - n - 1].second};
      words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(count - n - 1));
    } else {
      words[n].second = bytes.size();
      words.resize(n + 1);
    }
  }
  std::vector<Value> parts;
  for (const auto& [begin, end] : words) {
    if (!rt.budget.ok()) break;
    parts.push_back(substring(rt, text, begin, end));
  }
  return make_list(rt.budget, std::move(parts));
}

}  // namespace

Value substring(Runtime& rt, const Text& text, size_t begin, size_t end) {
  TextBuilder out(rt.budget);
  out.append(text, begin, end);
  return make_string(std::move(out));
}

Value change_case(Runtime& rt, const Text& text, Case to) {
  TextBuilder out(rt.budget);
  uint32_t previous = 0;
  bool start = true;
  text.for_each_run(0, text.size(), [&](std::string_view run, bool literal) {
    std::string changed;
    for (size_t i = 0; i < run.size();) {
      const CodePoint c = decode_at(run, i);
      const bool raise = to == Case::kUpper || (to == Case::kCapitalize && start) ||
                         (to == Case::kTitle && !cased(previous)) ||
                         (to == Case::kJinjaTitle && (start || starts_jinja_word(previous)));
      if (raise) {
        append_upper(c.value, to == Case::kTitle || to == Case::kCapitalize, changed);
      } else {
        encode_utf8(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))), changed);
      }
      previous = c.value;
      start = false;
      i += c.length;
    }
    rt.budget.spend(run.size() / 16);
    out.append(changed, literal);
  });
  return make_string(std::move(out));
}

Value strip(Runtime& rt, const Text& text, const Value& characters, bool left, bool right) {
  const bool space = characters.is_missing() || characters.is_none();
  const std::string_view set = space ? std::string_view() : text_argument(rt, characters).view();
  const std::string_view bytes = text.view();
  const auto goes = [&](uint32_t c) {
    rt.budget.spend(set.size() / 16);
    return rt.budget.ok() && (space ? is_space(c) : in_set(c, set));
  };
  size_t begin = 0;
  size_t end = bytes.size();
  while (left && begin < end && goes(decode_at(bytes, begin).value)) begin += decode_at(bytes, begin).length;
  while (right && end > begin) {
    const size_t start = previous_start(bytes, end);
    if (!goes(decode_at(bytes, start).value)) break;
    end = start;
  }
  return substring(rt, text, begin, std::max(begin, end));
}

// The library's own search compares the part anew at each place.
size_t find_text(std::string_view text, std::string_view part, size_t from) {
  if (part.empty() || from > text.size()) return from <= text.size() ? from : std::string_view::npos;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t find_last(Budget& budget, std::string_view text, std::string_view part, size_t from) {
  budget.spend(text.size() / 16 * (part.size() / 64));
  return budget.ok() ? text.rfind(part, from) : std::string_view::npos;
}

Value replace(Runtime& rt, const Text& text, const Text& from, const Text& to, int64_t count) {
  const std::string_view bytes = text.view();
  rt.budget.spend(bytes.size() / 16);
  TextBuilder out(rt.budget);
  size_t kept = 0;
  if (from.size() == 0) {  // before every character and at the end
    for (size_t i = 0; count != 0 && i <= bytes.size() && rt.budget.ok(); --count) {
      out.append(text, kept, i);
      out.append(to);
      kept = i;
      i += i < bytes.size() ? decode_at(bytes, i).length : 1;
    }
  } else {
    for (; count != 0 && rt.budget.ok(); --count) {
      const size_t found = find_text(bytes, from.view(), kept);
      if (found == bytes.npos) break;
      out.append(text, kept, found);
      out.append(to);
      kept = found + from.size();
    }
  }
  out.append(text, kept, bytes.size());
  return make_string(std::move(out));
}

Value split(Runtime& rt, const Text& text, const Value& separator, int64_t limit, bool from_right) {
  rt.budget.spend(text.size() / 16);
  if (separator.is_missing() || separator.is_none()) return split_on_space(rt, text, limit, from_right);
  const std::string_view mark = text_argument(rt, separator).view();
  if (mark.empty()) rt.budget.raise("empty separator");
  if (!rt.budget.ok()) return Value::none();
  const std::string_view bytes = text.view();
  std::vector<Value> parts;
  size_t begin = 0;
  size_t end = bytes.size();
  for (; limit != 0 && rt.budget.ok(); --limit) {
    if (from_right) {
      const size_t found = end < mark.size() ? bytes.npos : find_last(rt.budget, bytes.substr(0, end), mark);
      if (found == bytes.npos) break;
      parts.push_back(substring(rt, text, found + mark.size(), end));
      end = found;
    } else {
      const size_t found = find_text(bytes, mark, begin);
      if (found == bytes.npos) break;
      parts.push_back(substring(rt, text, begin, found));
      begin = found + mark.size();
    }
  }
  parts.push_back(substring(rt, text, begin, end));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return make_list(rt.budget, std::move(parts));
}

std::vector<Value> split_lines(Runtime& rt, const Text& text, bool keep_ends) {
  const std::string_view bytes = text.view();
  rt.budget.spend(bytes.size() / 16);
  std::vector<Value> lines;
  size_t begin = 0;
  for (size_t i = 0; i < bytes.size() && rt.budget.ok();) {
    const CodePoint c = decode_at(bytes, i);
    size_t next = i + c.length;
    if (is_line_break(c.value)) {
      if (c.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      lines.push_back(substring(rt, text, begin, keep_ends ? next : i));
      begin = next;
    }
    i = next;
  }
  if (begin < bytes.size()) lines.push_back(substring(rt, text, begin, bytes.size()));
  return lines;
}

Value join(Runtime& rt, const Text& separator, const std::vector<Value>& items) {
  TextBuilder out(rt.budget);
  for (size_t i = 0; i < items.size() && rt.budget.ok(); ++i) {
    if (i > 0) out.append(separator);
    write_str(rt, items[i], out);
  }
  return make_string(std::move(out));
}

Value indent(Runtime& rt, const Value& value, const Text& margin, bool first, bool blank) {
  TextBuilder with_end(rt.budget);  // so that an empty text, or a last empty line, counts as a line
  with_end.append(text_argument(rt, value));
  with_end.append("\n", true);
  const std::vector<Value> lines = split_lines(rt, with_end.take(), false);
  TextBuilder out(rt.budget);
  for (size_t i = 0; i < lines.size() && rt.budget.ok(); ++i) {
    if (!lines[i].is(Kind::kString)) break;
    if (i > 0) out.append("\n", true);
    if (i == 0 ? first : blank || lines[i].text().size() != 0) out.append(margin);
    out.append(lines[i].text());
  }
  return make_string(std::move(out));
}

}  // namespace kette::jinja
