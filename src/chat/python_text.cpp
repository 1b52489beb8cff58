#include "chat/python_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace kette::jinja {
namespace {

// What Python writes around the items of a container is marked as data: the container's items are, as a rule, and one
// kind throughout keeps the text in one piece. Numbers and constants on their own are literal (no message can spell a
// special token with them, but a template may: '<|image_' ~ loop.index ~ '|>').
constexpr bool kData = false;
constexpr bool kLiteral = true;

bool printable(uint32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

// Writes `text` with some characters replaced: escape(code point) gives the replacement, or nothing to keep it.
template <class Escape>
void write_escaped(const Text& text, TextBuilder& out, Escape&& escape) {
  const std::string_view bytes = text.view();
  size_t kept = 0;
  for (size_t i = 0; i < bytes.size() && out.budget().ok();) {
    const CodePoint c = decode_at(bytes, i);
    const std::string replacement = escape(c.value);
    if (!replacement.empty()) {
      out.append(text, kept, i);
      out.append(replacement, text.literal_at(i));
      kept = i + c.length;
    }
    i += c.length;
  }
  out.append(text, kept, bytes.size());
}

void write_string_repr(const Text& text, TextBuilder& out) {
  const bool doubled =
      text.view().find('\'') != std::string_view::npos && text.view().find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  out.append(std::string_view(&quote, 1), kData);
  write_escaped(text, out, [&](uint32_t c) -> std::string {
    if (c == '\\' || c == static_cast<uint32_t>(quote)) return {'\\', static_cast<char>(c)};
    if (c == '\n') return "\\n";
    if (c == '\r') return "\\r";
    if (c == '\t') return "\\t";
    if (printable(c)) return {};
    if (c < 0x100) return fmt::format("\\x{:02x}", c);
    return c < 0x10000 ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c);
  });
  out.append(std::string_view(&quote, 1), kData);
}

void write_sequence(Runtime& rt, const List& list, TextBuilder& out) {
  const bool tuple = list.flavour == Flavour::kTuple;
  out.append(tuple ? "(" : "[", kData);
  for (size_t i = 0; i < list.items.size() && rt.budget.ok(); ++i) {
    if (i > 0) out.append(", ", kData);
    write_repr(rt, list.items[i], out);
  }
  out.append(tuple ? (list.items.size() == 1 ? ",)" : ")") : "]", kData);
}

void write_dict(Runtime& rt, const Dict& dict, TextBuilder& out) {
  out.append("{", kData);
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!rt.budget.ok()) return;
    if (!first) out.append(", ", kData);
    first = false;
    write_repr(rt, key, out);
    out.append(": ", kData);
    write_repr(rt, value, out);
  }
  out.append("}", kData);
}

void write_value(Runtime& rt, const Value& value, TextBuilder& out, bool literal) {
  switch (value.kind()) {
    case Kind::kNone: return out.append("None", literal);
    case Kind::kBool: return out.append(value.integer() ? "True" : "False", literal);
    case Kind::kInt: return out.append(fmt::format("{}", value.integer()), literal);
    case Kind::kBigInt: return out.append(value.view(), literal);
    case Kind::kFloat: return out.append(float_repr(value.real()), literal);
    case Kind::kDict: return write_dict(rt, value.dict(), out);
    case Kind::kList:
      if (value.list().flavour == Flavour::kList || value.list().flavour == Flavour::kTuple)
        return write_sequence(rt, value.list(), out);
      break;
    default: break;
  }
  rt.budget.fail(Code::kUnsupported, "a {} has no text of its own; make a list of it first", type_name(value));
}

void write_json_string(const Text& text, bool ensure_ascii, TextBuilder& out) {
  out.append("\"", kData);
  write_escaped(text, out, [&](uint32_t c) -> std::string {
    switch (c) {
      case '"': return "\\\"";
      case '\\': return "\\\\";
      case '\n': return "\\n";
      case '\r': return "\\r";
      case '\t': return "\\t";
      case '\f': return "\\f";
      case '\b': return "\\b";
      default: break;
    }
    if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000)) return fmt::format("\\u{:04x}", c);
    if (!ensure_ascii || c < 0x10000) return {};
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
  });
  out.append("\"", kData);
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_repr(value);
}

// A value that JSON writes without structure; false for others.
bool write_json_scalar(const Value& value, TextBuilder& out) {
  switch (value.kind()) {
    case Kind::kNone: out.append("null", kData); return true;
    case Kind::kBool: out.append(value.integer() ? "true" : "false", kData); return true;
    case Kind::kInt: out.append(fmt::format("{}", value.integer()), kData); return true;
    case Kind::kBigInt: out.append(value.view(), kData); return true;
    case Kind::kFloat: out.append(json_float(value.real()), kData); return true;
    default: return false;
  }
}

class JsonWriter {
 public:
  JsonWriter(Runtime& rt, const JsonStyle& style, TextBuilder& out) : rt_(rt), style_(style), out_(out) {}

  void write(const Value& value) {
    if (!rt_.budget.ok() || write_json_scalar(value, out_)) return;
    if (value.is(Kind::kString)) return write_json_string(value.text(), style_.ensure_ascii, out_);
    if (value.is(Kind::kDict)) return dict(value.dict());
    if (value.is(Kind::kList) && value.list().flavour <= Flavour::kTuple) return list(value.list());
    rt_.budget.raise("a value of type {} is not JSON serializable", type_name(value));
  }

 private:
  void line() {
    if (!style_.indented) return;
    out_.append("\n", kData);
    for (int i = 0; i < level_; ++i) out_.append(style_.indent, kData);
  }
  void open(std::string_view bracket) {
    out_.append(bracket, kData);
    ++level_;
    line();
  }
  void close(std::string_view bracket) {
    --level_;
    line();
    out_.append(bracket, kData);
  }
  void between(bool first) {
    if (first) return;
    out_.append(style_.item_separator, kData);
    line();
  }

  void list(const List& list) {
    if (list.items.empty()) return out_.append("[]", kData);
    open("[");
    for (size_t i = 0; i < list.items.size() && rt_.budget.ok(); ++i) {
      between(i == 0);
      write(list.items[i]);
    }
    close("]");
  }

  void dict(const Dict& dict) {
    if (dict.entries.empty()) return out_.append("{}", kData);
    std::vector<uint32_t> order;
    if (style_.sort_keys) order = sorted_keys(dict);
    open("{");
    for (size_t i = 0; i < dict.entries.size() && rt_.budget.ok(); ++i) {
      between(i == 0);
      const auto& [k, v] = dict.entries[order.empty() ? i : order[i]];
      key(k);
      out_.append(style_.key_separator, kData);
      write(v);
    }
    close("}");
  }

  std::vector<uint32_t> sorted_keys(const Dict& dict) {
    std::vector<uint32_t> order(dict.entries.size());
    for (size_t i = 0; i < order.size(); ++i) {
      order[i] = static_cast<uint32_t>(i);
      if (!dict.entries[i].first.is(Kind::kString)) rt_.budget.fail(Code::kUnsupported, "sort_keys needs string keys");
    }
    rt_.budget.spend(order.size());
    if (rt_.budget.ok())
      std::sort(order.begin(), order.end(),
                [&](uint32_t a, uint32_t b) { return dict.entries[a].first.view() < dict.entries[b].first.view(); });
    return order;
  }

  void key(const Value& k) {
    if (k.is(Kind::kString)) return write_json_string(k.text(), style_.ensure_ascii, out_);
    out_.append("\"", kData);
    write_json_scalar(k, out_);
    out_.append("\"", kData);
  }

  Runtime& rt_;
  const JsonStyle& style_;
  TextBuilder& out_;
  int level_ = 0;
};

}  // namespace

// The shortest digits that read back; an exponent below 1e-4 and from 1e16 on.
std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto scientific = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(scientific.ptr - buffer));
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), scientific.ptr, exponent);
  std::string digits(text.substr(0, e));
  const std::string sign = digits[0] == '-' ? "-" : "";
  std::erase_if(digits, [](char c) { return c == '-' || c == '.'; });
  if (exponent < -4 || exponent >= 16) {
    if (digits.size() > 1) digits.insert(1, 1, '.');
    return fmt::format("{}{}e{}{:02}", sign, digits, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return fmt::format("{}0.{}{}", sign, std::string(static_cast<size_t>(-exponent - 1), '0'), digits);
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return fmt::format("{}{}{}.0", sign, digits, std::string(whole - digits.size(), '0'));
  return sign + digits.insert(whole, 1, '.');
}

void write_repr(Runtime& rt, const Value& value, TextBuilder& out) {
  if (value.is(Kind::kString)) return write_string_repr(value.text(), out);
  if (value.is_undefined()) return out.append("Undefined", kData);
  write_value(rt, value, out, kData);
}

void write_str(Runtime& rt, const Value& value, TextBuilder& out) {
  if (value.is(Kind::kString)) return out.append(value.text());
  if (value.is_undefined()) return;
  write_value(rt, value, out, kLiteral);
}

void write_json(Runtime& rt, const Value& value, const JsonStyle& style, TextBuilder& out) {
  JsonWriter(rt, style, out).write(value);
}

Value to_string(Runtime& rt, const Value& value) {
  if (value.is(Kind::kString)) return value;
  TextBuilder out(rt.budget);
  write_str(rt, value, out);
  return make_string(std::move(out));
}

}  // namespace kette::jinja
