#include "chat/lexer.h"

#include <algorithm>

#include "chat/budget.h"
#include "chat/text.h"

namespace kette::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(TokenList& list) : list_(list), source_(*list.source) {}

  Status run() {
    while (pos_ < source_.size()) {
      KETTE_TRY(data());
      if (pos_ >= source_.size()) break;
      const char kind = source_[pos_ + 1];
      if (kind == '#') {
        KETTE_TRY(comment());
      } else if (kind == '%' && at_raw()) {
        KETTE_TRY(raw());
      } else {
        KETTE_TRY(tag(kind == '{'));
      }
    }
    push(TokenKind::kEnd, {});
    return {};
  }

 private:
  Status fail(std::string_view what) const { return error(Code::kFormat, "template line {}: {}", line_, what); }
  void push(TokenKind kind, std::string_view text) { list_.tokens.push_back({kind, line_, text}); }
  bool at(std::string_view text) const { return source_.substr(pos_, text.size()) == text; }

  void advance(size_t to) {
    line_ += static_cast<uint32_t>(
        std::count(source_.begin() + static_cast<ptrdiff_t>(pos_), source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    pos_ = to;
  }
  size_t skip_space(size_t from) const {
    while (from < source_.size()) {
      const CodePoint c = decode_at(source_, from);
      if (!is_space(c.value)) break;
      from += c.length;
    }
    return from;
  }
  void end_of_match(size_t to) {
    advance(to);
    line_starting_ = to > 0 && source_[to - 1] == '\n';
  }

  // The text before a tag, less what the tag's sign ('-', '+') and lstrip_blocks take from its end.
  void push_data(size_t end, char sign, bool is_print) {
    std::string_view text = source_.substr(pos_, end - pos_);
    if (sign == '-') {
      while (!text.empty()) {
        const size_t start = previous_start(text, text.size());
        if (!is_space(decode_at(text, start).value)) break;
        text = text.substr(0, start);
      }
    } else if (sign != '+' && !is_print) {
      const size_t line_start = text.rfind('\n') + 1;
      if ((line_start > 0 || line_starting_) && skip_space(pos_ + line_start) >= end) text = text.substr(0, line_start);
    }
    if (!text.empty()) push(TokenKind::kData, text);
    advance(end);
  }

  Status data() {
    size_t end = pos_;
    for (;; ++end) {
      end = source_.find('{', end);
      if (end == source_.npos || end + 1 >= source_.size()) {
        push(TokenKind::kData, source_.substr(pos_));
        advance(source_.size());
        return {};
      }
      const char next = source_[end + 1];
      if (next == '%' || next == '{' || next == '#') break;
    }
    push_data(end, end + 2 < source_.size() ? source_[end + 2] : ' ', source_[end + 1] == '{');
    return {};
  }

  // `-X}` takes the whitespace after it, `+X}` nothing, `X}` one newline (trim_blocks).
  size_t after_close(size_t close) const {
    if (source_[close] == '-') return skip_space(close + 3);
    if (source_[close] == '+') return close + 3;
    return close + 2 < source_.size() && source_[close + 2] == '\n' ? close + 3 : close + 2;
  }

  Status comment() {
    const size_t body = pos_ + 2;
    size_t close = source_.find("#}", body);
    if (close == source_.npos) return fail("a comment is not closed");
    if (close > body && (source_[close - 1] == '-' || source_[close - 1] == '+')) --close;
    end_of_match(after_close(close));
    return {};
  }

  // Past `word` and the space around it, from just behind "{%"; npos where the tag is another one.
  size_t match_word(size_t from, std::string_view word) const {
    if (from < source_.size() && (source_[from] == '-' || source_[from] == '+')) ++from;
    from = skip_space(from);
    return source_.substr(from, word.size()) == word ? skip_space(from + word.size()) : source_.npos;
  }
  bool closes(size_t from) const { return source_.substr(from, 2) == "%}" || source_.substr(from, 3) == "-%}"; }
  bool at_raw() const {
    const size_t close = match_word(pos_ + 2, "raw");
    return close != source_.npos && closes(close);
  }

  Status raw() {
    const size_t close = match_word(pos_ + 2, "raw");
    end_of_match(source_[close] == '-' ? skip_space(close + 3) : close + 2);
    for (size_t open = pos_;; open += 2) {
      open = source_.find("{%", open);
      if (open == source_.npos) return fail("raw is not closed by endraw");
      const size_t end = match_word(open + 2, "endraw");
      if (end == source_.npos || !(closes(end) || source_.substr(end, 3) == "+%}")) continue;
      push_data(open, source_[open + 2], false);
      end_of_match(after_close(end));
      return {};
    }
  }

  Status tag(bool is_print) {
    push(is_print ? TokenKind::kPrintBegin : TokenKind::kTagBegin, {});
    pos_ += 2;
    if (pos_ < source_.size() && (source_[pos_] == '-' || source_[pos_] == '+')) ++pos_;
    std::string open;  // brackets waiting for their partner: inside them "}}" closes two of them, not the tag
    for (;;) {
      advance(skip_space(pos_));
      if (pos_ >= source_.size()) return fail("a tag is not closed");
      if (open.empty()) {
        if (is_print && (at("}}") || at("-}}"))) {
          push(TokenKind::kPrintEnd, {});
          end_of_match(at("-}}") ? skip_space(pos_ + 3) : pos_ + 2);
          return {};
        }
        if (!is_print && (at("%}") || at("-%}") || at("+%}"))) {
          push(TokenKind::kTagEnd, {});
          end_of_match(after_close(pos_));
          return {};
        }
      }
      const char c = source_[pos_];
      if (is_digit(c)) {
        number();
      } else if (is_name_start(c)) {
        size_t end = pos_;
        while (end < source_.size() && is_name_part(source_[end])) ++end;
        push(TokenKind::kName, source_.substr(pos_, end - pos_));
        pos_ = end;
      } else if (c == '\'' || c == '"') {
        KETTE_TRY(string());
      } else {
        KETTE_TRY(operation(open));
      }
    }
  }

  // Jinja's number grammar: digits may be joined by single underscores; no float right after a dot (`a.0.1`).
  size_t digits(size_t from, int base) const {
    const auto is = [&](size_t i) {
      const int d = i < source_.size() ? hex_digit(source_[i]) : -1;
      return d >= 0 && d < base;
    };
    while (is(from) || (from < source_.size() && source_[from] == '_' && is(from + 1))) ++from;
    return from;
  }

  void number() {
    const size_t begin = pos_;
    size_t end = digits(begin, 10);
    TokenKind kind = TokenKind::kInteger;
    if (begin == 0 || source_[begin - 1] != '.') {
      const auto digit_at = [&](size_t i) { return i < source_.size() && is_digit(source_[i]); };
      if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
        end = digits(end + 1, 10);
        kind = TokenKind::kFloat;
      }
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        const size_t sign = end + 1 < source_.size() && (source_[end + 1] == '-' || source_[end + 1] == '+');
        if (digit_at(end + 1 + sign)) {
          end = digits(end + 1 + sign, 10);
          kind = TokenKind::kFloat;
        }
      }
    }
    if (kind == TokenKind::kInteger && source_[begin] == '0') {
      const char prefix = begin + 1 < source_.size() ? static_cast<char>(source_[begin + 1] | 0x20) : ' ';
      const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
      end = base != 0 && digits(begin + 2, base) > begin + 2 ? digits(begin + 2, base) : digits(begin, 1);
    }
    std::string_view text = source_.substr(begin, end - begin);
    if (text.find('_') != text.npos) {
      std::string& plain = list_.decoded.emplace_back(text);
      std::erase(plain, '_');
      text = plain;
    }
    push(kind, text);
    pos_ = end;
  }

  Status string() {
    const char quote = source_[pos_];
    size_t end = pos_ + 1;
    bool escaped = false;
    while (end < source_.size() && source_[end] != quote) {
      escaped = escaped || source_[end] == '\\';
      end += source_[end] == '\\' ? 2 : 1;
    }
    if (end >= source_.size()) return fail("a string is not closed");
    const std::string_view body = source_.substr(pos_ + 1, end - pos_ - 1);
    if (escaped) {
      std::string& decoded = list_.decoded.emplace_back();
      KETTE_TRY(unescape(body, decoded));
      push(TokenKind::kString, decoded);
    } else {
      push(TokenKind::kString, body);
    }
    advance(end + 1);
    return {};
  }

  // Python's unicode_escape; an unknown escape keeps its backslash.
  Status unescape(std::string_view body, std::string& out) const {
    static constexpr std::string_view kFrom = "abfnrtv\\'\"";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
    for (size_t i = 0; i < body.size(); ++i) {
      if (body[i] != '\\') {
        out += body[i];
        continue;
      }
      const char c = body[++i];  // the scan for the closing quote never ends on a lone backslash
      uint32_t value = 0;
      if (const size_t simple = kFrom.find(c); simple != kFrom.npos) {
        out += kTo[simple];
      } else if (c == '\n') {
      } else if (c >= '0' && c <= '7') {
        size_t n = 0;
        for (; n < 3 && i + n < body.size() && body[i + n] >= '0' && body[i + n] <= '7'; ++n)
          value = value * 8 + static_cast<uint32_t>(body[i + n] - '0');
        i += n - 1;
        encode_utf8(value, out);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        for (size_t n = 1; n <= count; ++n) {
          const int digit = i + n < body.size() ? hex_digit(body[i + n]) : -1;
          if (digit < 0) return fail("a string has a truncated \\x, \\u or \\U escape");
          value = value * 16 + static_cast<uint32_t>(digit);
        }
        if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
          return fail("a string escape is not a Unicode character");
        i += count;
        encode_utf8(value, out);
      } else if (c == 'N') {
        return fail("a string has a \\N{...} escape, which is not supported");
      } else {
        out += '\\';
        out += c;
      }
    }
    return {};
  }

  Status operation(std::string& open) {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    const char c = source_[pos_];
    size_t length = 1;
    for (const std::string_view two : kTwo)
      if (at(two)) length = 2;
    if (length == 1 && std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos)
      return fail("unexpected character '" + excerpt(source_.substr(pos_, decode_at(source_, pos_).length)) + "'");
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) return fail(std::string("unexpected '") + c + "'");
      open.pop_back();
    }
    push(TokenKind::kOperator, source_.substr(pos_, length));
    pos_ += length;
    return {};
  }

  TokenList& list_;
  std::string_view source_;
  size_t pos_ = 0;
  uint32_t line_ = 1;
  bool line_starting_ = true;  // the last match ended a line
};

}  // namespace

Result<TokenList> tokenize(std::string_view source) {
  if (source.size() > kMaxSource)
    return error(Code::kBudget, "chat template: {} bytes, expected at most {}", source.size(), kMaxSource);
  if (!valid_utf8(source)) return error(Code::kFormat, "chat template: not valid UTF-8");
  TokenList list;
  list.source = std::make_unique<std::string>(normalize_newlines(source));
  KETTE_TRY(Lexer(list).run());
  return list;
}

}  // namespace kette::jinja
