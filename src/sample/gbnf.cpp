#include "sample/gbnf.h"

#include <map>
#include <string>

#include "sample/expression.h"
#include "sample/grammar_limits.h"
#include "sample/source_reader.h"

namespace kette {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view source) : source_(source), in_(source) {}

  Result<std::unique_ptr<const GrammarTables>> compile() {
    skip_space(true);
    while (!in_.done()) KETTE_TRY(rule());
    for (const auto& [name, r] : rules_)
      if (!r.defined) return error(Code::kInvalidArgument, "GBNF: the rule \"{:.64}\" is used and not defined", name);
    const auto root = rules_.find("root");
    if (root == rules_.end()) return error(Code::kInvalidArgument, "GBNF: no rule \"root\"");
    return builder_.compile(root->second.id);
  }

 private:
  struct Rule {
    uint32_t id = 0;
    bool defined = false;
  };

  Status wrong(std::string_view what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < in_.at() && i < source_.size(); ++i) source_[i] == '\n' ? (++line, column = 1) : ++column;
    return error(Code::kInvalidArgument, "GBNF: line {}, column {}: {}", line, column, what);
  }

  // Comments too. Inside a rule a new line ends it, except in parentheses.
  void skip_space(bool lines) {
    while (!in_.done()) {
      const char c = in_.peek();
      if (c == '#') {
        while (!in_.done() && in_.peek() != '\n' && in_.peek() != '\r') in_.skip(1);
      } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
        in_.skip(1);
      } else {
        return;
      }
    }
  }

  Rule& named(const std::string& name) {
    const auto [it, is_new] = rules_.try_emplace(name);
    if (is_new) it->second.id = builder_.declare(name);
    return it->second;
  }

  std::string name() {
    std::string out;
    for (; is_name(in_.peek()); in_.skip(1)) out += in_.peek();
    return out;
  }

  Status rule() {
    const std::string rule_name = name();
    if (rule_name.empty()) return wrong("expected the name of a rule");
    skip_space(false);
    if (!in_.take("::=")) return wrong("expected \"::=\"");
    skip_space(true);
    KETTE_ASSIGN(const Expression body, alternatives(0));
    Rule& r = named(rule_name);
    if (r.defined) return wrong(fmt::format("the rule \"{:.64}\" is defined twice", rule_name));
    builder_.define(r.id, body);
    r.defined = true;
    if (!in_.done() && in_.peek() != '\n' && in_.peek() != '\r') return wrong("expected a new line");
    skip_space(true);
    return {};
  }

  // NOLINTNEXTLINE(misc-no-recursion): groups, limited in depth
  Result<Expression> alternatives(size_t nesting) {
    if (nesting > grammar_limits::kNesting)
      return error(Code::kBudget, "GBNF: groups nested more than {} deep", grammar_limits::kNesting);
    std::vector<Expression> all;
    for (;;) {
      KETTE_ASSIGN(const Expression one, sequence(nesting));
      all.push_back(one);
      const size_t end = in_.at();
      skip_space(true);  // the next alternative may begin on a new line
      if (!in_.take("|")) {
        in_.go_to(end);
        return builder_.choice(std::move(all));
      }
      skip_space(true);
    }
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  Result<Expression> sequence(size_t nesting) {
    std::vector<Expression> parts;
    while (!in_.done()) {
      const char c = in_.peek();
      Expression part = 0;
      if (c == '"') {
        KETTE_ASSIGN(part, literal());
      } else if (c == '[') {
        KETTE_ASSIGN(part, char_class());
      } else if (c == '.') {
        in_.skip(1);
        part = builder_.characters({{0, kLastCodePoint}});
      } else if (c == '(') {
        in_.skip(1);
        skip_space(true);
        KETTE_ASSIGN(part, alternatives(nesting + 1));
        if (!in_.take(")")) return wrong("expected \")\"");
      } else if (is_name(c)) {
        part = builder_.call(named(name()).id);
      } else {
        break;
      }
      skip_space(nesting > 0);
      KETTE_TRY(quantifiers(part, nesting));
      parts.push_back(part);
    }
    return builder_.sequence(std::move(parts));
  }

  Status quantifiers(Expression& part, size_t nesting) {
    for (;;) {
      uint32_t least = 0, most = RuleBuilder::kNoLimit;
      if (in_.take("*")) {
      } else if (in_.take("+")) {
        least = 1;
      } else if (in_.take("?")) {
        most = 1;
      } else if (in_.take("{")) {
        skip_space(false);
        least = in_.take_number();
        if (least == SourceReader::kEnd) return wrong("expected a number");
        skip_space(false);
        most = least;
        if (in_.take(",")) {
          skip_space(false);
          most = in_.take_number();
          if (most == SourceReader::kEnd) most = RuleBuilder::kNoLimit;
          skip_space(false);
        }
        if (!in_.take("}")) return wrong("expected \"}\"");
        if (most < least) return wrong("a repetition whose numbers are in the wrong order");
      } else {
        return {};
      }
      part = builder_.repeat(part, least, most);
      skip_space(nesting > 0);
    }
  }

  Result<Expression> literal() {
    in_.skip(1);
    std::string out;
    while (!in_.take("\"")) {
      const size_t before = in_.at();
      KETTE_ASSIGN(const Character c, character());
      if (c.escaped)
        append_utf8(out, c.code);
      else
        out += source_.substr(before, in_.at() - before);
    }
    return builder_.bytes(out);
  }

  Result<Expression> char_class() {
    in_.skip(1);
    const bool negated = in_.take("^");
    std::vector<CodeRange> ranges;
    while (!in_.take("]")) {
      KETTE_ASSIGN(const Character first, character());
      CodeRange range{first.code, first.code};
      if (in_.peek() == '-' && in_.peek(1) != ']') {
        in_.skip(1);
        KETTE_ASSIGN(const Character last, character());
        if (last.code < first.code) return wrong("a range whose ends are in the wrong order");
        range.last = last.code;
      }
      ranges.push_back(range);
    }
    return builder_.characters(negated ? complement(std::move(ranges)) : std::move(ranges));
  }

  struct Character {
    uint32_t code;
    bool escaped;
  };

  Result<Character> character() {
    if (in_.take("\\")) {
      for (const auto& [letter, digits] : {std::pair{"x", size_t{2}}, {"u", 4}, {"U", 8}})
        if (in_.take(letter)) {
          const uint32_t code = in_.take_hex(digits);
          if (code > kLastCodePoint || (code >= 0xd800 && code < 0xe000))
            return wrong(fmt::format("expected {} hexadecimal digits of a character", digits));
          return Character{code, true};
        }
      for (const auto& [letter, code] : {std::pair{"t", '\t'},
                                         {"n", '\n'},
                                         {"r", '\r'},
                                         {"\\", '\\'},
                                         {"\"", '"'},
                                         {"[", '['},
                                         {"]", ']'},
                                         {"-", '-'},
                                         {"^", '^'}})
        if (in_.take(letter)) return Character{static_cast<uint32_t>(code), true};
      return wrong("an unknown escape");
    }
    const uint32_t code = in_.take_character();
    if (code == SourceReader::kEnd) return wrong("the text ends within quotes or brackets");
    if (code == SourceReader::kNotUtf8) return wrong("not UTF-8");
    return Character{code, false};
  }

  static void append_utf8(std::string& out, uint32_t c) {
    const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xc0 | c >> 6), put(0x80 | (c & 63));
    } else if (c < 0x10000) {
      put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    } else {
      put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    }
  }

  std::string_view source_;
  SourceReader in_;
  RuleBuilder builder_;
  std::map<std::string, Rule> rules_;
};

}  // namespace

Result<std::unique_ptr<const GrammarTables>> compile_gbnf(std::string_view source) {
  return GbnfParser(source).compile();
}

}  // namespace kette
