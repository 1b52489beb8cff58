#include "sample/regex.h"

#include <algorithm>
#include <array>

#include "sample/grammar_limits.h"
#include "sample/source_reader.h"

namespace kette {
namespace {

constexpr CodeRange kWordRanges[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
constexpr CodeRange kSpaceRanges[] = {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                                      {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                      {0x3000, 0x3000}, {0xfeff, 0xfeff}};
constexpr CodeRange kLineEnds[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class RegexParser {
 public:
  RegexParser(RuleBuilder& builder, std::string_view source, RegexText text)
      : builder_(builder), in_(source), text_(text) {}

  Result<Expression> parse(RegexMatch match) {
    KETTE_ASSIGN(const Alternatives all, alternatives(0));
    if (!in_.done()) return wrong("\")\" without \"(\"");
    std::vector<Expression> choices;
    for (uint32_t anchors = 0; anchors < all.size(); ++anchors) {
      if (all[anchors].empty()) continue;
      const Expression middle = builder_.choice(all[anchors]);
      if (match == RegexMatch::kWhole) {
        choices.push_back(middle);
        continue;
      }
      const Expression any = builder_.repeat(one_of({{0, kLastCodePoint}}), 0, RuleBuilder::kNoLimit);
      std::vector<Expression> parts;
      if ((anchors & kAtStart) == 0) parts.push_back(any);
      parts.push_back(middle);
      if ((anchors & kAtEnd) == 0) parts.push_back(any);
      choices.push_back(builder_.sequence(std::move(parts)));
    }
    return builder_.choice(std::move(choices));
  }

 private:
  static constexpr uint32_t kAtStart = 1, kAtEnd = 2;
  using Alternatives = std::array<std::vector<Expression>, 4>;  // by their anchors

  Status wrong(std::string_view what) const {
    return error(Code::kInvalidArgument, "regex: at byte {}: {}", in_.at(), what);
  }
  Status unsupported(std::string_view what) const {
    return error(Code::kUnsupported, "regex: at byte {}: {} is not supported", in_.at(), what);
  }

  Expression one_of(std::vector<CodeRange> ranges) {
    return text_ == RegexText::kJsonString ? json_characters(builder_, std::move(ranges))
                                           : builder_.characters(std::move(ranges));
  }

  // NOLINTNEXTLINE(misc-no-recursion): groups, limited in depth
  Result<Alternatives> alternatives(size_t nesting) {
    if (nesting > grammar_limits::kNesting)
      return error(Code::kBudget, "regex: groups nested more than {} deep", grammar_limits::kNesting);
    Alternatives out;
    do {
      KETTE_TRY(alternative(nesting, out));
    } while (in_.take("|"));
    return out;
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  Status alternative(size_t nesting, Alternatives& out) {
    std::vector<Expression> parts;
    Alternatives group;  // the last part, where it is one
    bool last_is_group = false;
    uint32_t anchors = 0;
    while (!in_.done() && in_.peek() != '|' && in_.peek() != ')') {
      if ((anchors & kAtEnd) != 0) return unsupported("an anchor \"$\" before the end");
      if (in_.take("^")) {
        if (!parts.empty()) return unsupported("an anchor \"^\" after the beginning");
        anchors |= kAtStart;
        continue;
      }
      if (in_.take("$")) {
        anchors |= kAtEnd;
        continue;
      }
      if (last_is_group && has_anchors(group)) return unsupported("an anchor inside an expression");
      last_is_group = false;
      Expression atom = 0;
      const bool is_group = in_.peek() == '(';
      if (is_group) {
        KETTE_TRY(open_group());
        KETTE_ASSIGN(group, alternatives(nesting + 1));
        if (!in_.take(")")) return wrong("\"(\" without \")\"");
        std::vector<Expression> all;
        for (const auto& a : group) all.insert(all.end(), a.begin(), a.end());
        atom = builder_.choice(std::move(all));
      } else {
        KETTE_ASSIGN(atom, single());
      }
      KETTE_ASSIGN(const bool repeated, quantifier(atom));
      if (is_group && has_anchors(group) && (repeated || !parts.empty()))
        return unsupported("an anchor inside an expression");
      last_is_group = is_group;
      parts.push_back(atom);
    }
    if (last_is_group && has_anchors(group)) {
      for (uint32_t a = 0; a < group.size(); ++a)
        out[a | anchors].insert(out[a | anchors].end(), group[a].begin(), group[a].end());
      return {};
    }
    out[anchors].push_back(builder_.sequence(std::move(parts)));
    return {};
  }

  static bool has_anchors(const Alternatives& a) { return !a[1].empty() || !a[2].empty() || !a[3].empty(); }

  Status open_group() {
    for (const auto& [spelling, name] : {std::pair{"(?=", "look-ahead (?="},
                                         {"(?!", "look-ahead (?!"},
                                         {"(?<=", "look-behind (?<="},
                                         {"(?<!", "look-behind (?<!"}})
      if (in_.next_is(spelling)) return unsupported(name);
    if (in_.take("(?:")) return {};
    if (in_.take("(?<")) {
      while (!in_.done() && in_.peek() != '>') in_.skip(1);
      return in_.take(">") ? Status() : wrong("a group's name without \">\"");
    }
    if (in_.next_is("(?")) return unsupported("a group with flags, \"(?\"");
    in_.skip(1);
    return {};
  }

  // Repeats `atom` as what follows says; false if nothing does.
  Result<bool> quantifier(Expression& atom) {
    uint32_t least = 0, most = RuleBuilder::kNoLimit;
    if (in_.take("*")) {
    } else if (in_.take("+")) {
      least = 1;
    } else if (in_.take("?")) {
      most = 1;
    } else if (in_.peek() == '{' && in_.peek(1) >= '0' && in_.peek(1) <= '9') {
      in_.skip(1);
      least = most = in_.take_number();
      if (in_.take(",")) {
        most = in_.take_number();
        if (most == SourceReader::kEnd) most = RuleBuilder::kNoLimit;
      }
      if (!in_.take("}")) return wrong("a repetition without \"}\"");
      if (most < least) return wrong("a repetition whose numbers are in the wrong order");
    } else {
      return false;
    }
    (void)in_.take("?");  // lazy: the same texts
    if (in_.peek() == '*' || in_.peek() == '+' || in_.peek() == '?') return wrong("a repetition of a repetition");
    atom = builder_.repeat(atom, least, most);
    return true;
  }

  Result<Expression> single() {
    const char c = in_.peek();
    if (c == '*' || c == '+' || c == '?' || (c == '{' && in_.peek(1) >= '0' && in_.peek(1) <= '9'))
      return wrong("a repetition of nothing");
    if (in_.take(".")) return one_of(complement({std::begin(kLineEnds), std::end(kLineEnds)}));
    if (in_.take("[")) return char_class();
    if (c == '\\') {
      KETTE_ASSIGN(std::vector<CodeRange> ranges, escape(false));
      return one_of(std::move(ranges));
    }
    const uint32_t character = in_.take_character();
    if (character == SourceReader::kNotUtf8) return wrong("not UTF-8");
    return one_of({{character, character}});
  }

  Result<Expression> char_class() {
    const bool negated = in_.take("^");
    std::vector<CodeRange> ranges;
    while (!in_.take("]")) {
      KETTE_ASSIGN(std::vector<CodeRange> item, class_item());
      const bool single = item.size() == 1 && item[0].first == item[0].last;
      if (single && in_.peek() == '-' && in_.peek(1) != ']' && in_.peek(1) != '\0') {
        in_.skip(1);
        KETTE_ASSIGN(const std::vector<CodeRange> last, class_item());
        if (last.size() != 1 || last[0].first != last[0].last) return wrong("a class where a range ends");
        if (last[0].first < item[0].first) return wrong("a range whose ends are in the wrong order");
        item[0].last = last[0].first;
      }
      ranges.insert(ranges.end(), item.begin(), item.end());
    }
    return one_of(negated ? complement(std::move(ranges)) : normalized(std::move(ranges)));
  }

  Result<std::vector<CodeRange>> class_item() {
    if (in_.done()) return wrong("\"[\" without \"]\"");
    if (in_.peek() == '\\') return escape(true);
    const uint32_t c = in_.take_character();
    if (c == SourceReader::kNotUtf8) return wrong("not UTF-8");
    return std::vector<CodeRange>{{c, c}};
  }

  Result<std::vector<CodeRange>> escape(bool in_class) {
    in_.skip(1);
    if (in_.done()) return wrong("a backslash at the end");
    const auto one = [](uint32_t c) { return std::vector<CodeRange>{{c, c}}; };
    const char c = in_.peek();
    in_.skip(1);
    std::vector<CodeRange> word(std::begin(kWordRanges), std::end(kWordRanges));
    std::vector<CodeRange> space(std::begin(kSpaceRanges), std::end(kSpaceRanges));
    switch (c) {
      case 'd': return std::vector<CodeRange>{{'0', '9'}};
      case 'D': return complement({{'0', '9'}});
      case 'w': return word;
      case 'W': return complement(std::move(word));
      case 's': return space;
      case 'S': return complement(std::move(space));
      case 't': return one('\t');
      case 'n': return one('\n');
      case 'v': return one('\v');
      case 'f': return one('\f');
      case 'r': return one('\r');
      case '0':
        if (in_.peek() >= '0' && in_.peek() <= '9') return unsupported("an octal escape");
        return one(0);
      case 'b':
        if (in_class) return one('\b');
        return unsupported("the word boundary \\b");
      case 'B': return unsupported("the word boundary \\B");
      case 'k': return unsupported("the back reference \\k");
      case 'p':
      case 'P': return unsupported("the Unicode property \\p");
      case 'c': {
        const char letter = in_.peek();
        if ((letter < 'A' || letter > 'Z') && (letter < 'a' || letter > 'z')) return wrong("\\c without a letter");
        in_.skip(1);
        return one(static_cast<uint32_t>(letter) & 31);
      }
      case 'x': {
        const uint32_t code = in_.take_hex(2);
        if (code == SourceReader::kEnd) return wrong("\\x without two hexadecimal digits");
        return one(code);
      }
      case 'u': {
        KETTE_ASSIGN(const uint32_t code, unicode_escape());
        return one(code);
      }
      default: break;
    }
    if (c >= '1' && c <= '9') return unsupported("a back reference");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return unsupported(fmt::format("the escape \\{}", c));
    if (static_cast<uint8_t>(c) < 0x80) return one(static_cast<uint8_t>(c));
    in_.go_to(in_.at() - 1);
    const uint32_t code = in_.take_character();
    if (code == SourceReader::kNotUtf8) return wrong("not UTF-8");
    return one(code);
  }

  Result<uint32_t> unicode_escape() {
    if (in_.take("{")) {
      size_t digits = 0;
      while (digits < 6 && in_.peek(digits) != '}') ++digits;
      const uint32_t code = digits > 0 ? in_.take_hex(digits) : SourceReader::kEnd;
      if (code > kLastCodePoint || !in_.take("}")) return wrong("\\u{ without a code point and \"}\"");
      if (code >= 0xd800 && code < 0xe000) return wrong("half of a surrogate pair");
      return code;
    }
    const uint32_t code = in_.take_hex(4);
    if (code == SourceReader::kEnd) return wrong("\\u without four hexadecimal digits");
    if (code < 0xd800 || code >= 0xe000) return code;
    if (code < 0xdc00 && in_.take("\\u")) {
      const uint32_t low = in_.take_hex(4);
      if (low >= 0xdc00 && low < 0xe000) return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    return wrong("half of a surrogate pair");
  }

  RuleBuilder& builder_;
  SourceReader in_;
  RegexText text_;
};

// The escape that JSON has for a character that cannot stand in a string; empty for others.
std::string json_escape(uint32_t c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return c < 0x20 ? fmt::format("\\u{:04x}", c) : std::string();
  }
}

}  // namespace

Expression json_characters(RuleBuilder& builder, std::vector<CodeRange> ranges) {
  std::vector<Expression> ways;
  std::vector<CodeRange> plain;
  for (CodeRange r : normalized(std::move(ranges))) {
    for (const uint32_t special : {uint32_t{'"'}, uint32_t{'\\'}})
      if (r.first <= special && special <= r.last) ways.push_back(builder.bytes(json_escape(special)));
    for (uint32_t c = r.first; c <= std::min<uint32_t>(r.last, 0x1f); ++c)
      ways.push_back(builder.bytes(json_escape(c)));
    for (const CodeRange free : {CodeRange{0x20, 0x21}, {0x23, 0x5b}, {0x5d, kLastCodePoint}}) {
      const CodeRange both{std::max(r.first, free.first), std::min(r.last, free.last)};
      if (both.first <= both.last) plain.push_back(both);
    }
  }
  if (!plain.empty()) ways.push_back(builder.characters(std::move(plain)));
  return builder.choice(std::move(ways));
}

Expression json_text(RuleBuilder& builder, std::string_view utf8) {
  std::string out;
  for (const char c : utf8) {
    const std::string escaped = json_escape(static_cast<uint8_t>(c));
    out += escaped.empty() ? std::string(1, c) : escaped;
  }
  return builder.bytes(out);
}

Result<Expression> parse_regex(RuleBuilder& builder, std::string_view source, RegexMatch match, RegexText text) {
  return RegexParser(builder, source, text).parse(match);
}

}  // namespace kette
