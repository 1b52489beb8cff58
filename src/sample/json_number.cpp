#include "sample/json_number.h"

#include <algorithm>

#include "sample/regex.h"

namespace kette {
namespace {

constexpr size_t kMostBefore = 64, kMostAfter = 32;

// Expressions over the digits of numbers that are not negative: "0" or digits without a leading zero, and maybe a point and
// digits.
class Digits {
 public:
  explicit Digits(RuleBuilder& builder) : b_(builder) {}

  Expression at_least(const Decimal& bound, bool above) {
    const std::string& whole = bound.before;
    const auto n = static_cast<uint32_t>(whole.size());
    std::vector<Expression> ways;
    ways.push_back(b_.sequence({digit('1', '9'), digits(n, RuleBuilder::kNoLimit), any_fraction()}));
    for (size_t i = 0; i < whole.size(); ++i)
      if (whole[i] < '9')
        ways.push_back(b_.sequence({text(whole, i), digit(static_cast<char>(whole[i] + 1), '9'),
                                    digits(n - 1 - static_cast<uint32_t>(i)), any_fraction()}));
    ways.push_back(b_.sequence({b_.bytes(whole), fraction_at_least(bound.after, above)}));
    return b_.choice(std::move(ways));
  }

  Expression at_most(const Decimal& bound, bool below) {
    const std::string& whole = bound.before;
    const auto n = static_cast<uint32_t>(whole.size());
    std::vector<Expression> ways;
    if (n > 1) {
      ways.push_back(b_.sequence({b_.bytes("0"), any_fraction()}));
      ways.push_back(b_.sequence({digit('1', '9'), digits(0, n - 2), any_fraction()}));
    }
    for (size_t i = 0; i < whole.size(); ++i) {
      const char first = i == 0 && n > 1 ? '1' : '0';
      if (whole[i] > first)
        ways.push_back(b_.sequence({text(whole, i), digit(first, static_cast<char>(whole[i] - 1)),
                                    digits(n - 1 - static_cast<uint32_t>(i)), any_fraction()}));
    }
    ways.push_back(b_.sequence({b_.bytes(whole), fraction_at_most(bound.after, below)}));
    return b_.choice(std::move(ways));
  }

  // All there are, with so many decimals.
  Expression any(uint32_t decimals) {
    const Expression whole = b_.choice({b_.bytes("0"), b_.sequence({digit('1', '9'), digits(0, kMostBefore - 1)})});
    if (decimals == 0) return whole;
    return b_.sequence({whole, b_.optional(b_.sequence({b_.bytes("."), digits(1, decimals)}))});
  }

 private:
  Expression digit(char first, char last) {
    return b_.byte_range(static_cast<uint8_t>(first), static_cast<uint8_t>(last));
  }
  Expression digits(uint32_t least, uint32_t most) { return b_.repeat(digit('0', '9'), least, most); }
  Expression digits(uint32_t n) { return digits(n, n); }
  Expression text(const std::string& s, size_t n) { return b_.bytes(std::string_view(s).substr(0, n)); }
  Expression any_fraction() { return b_.optional(b_.sequence({b_.bytes("."), digits(1, RuleBuilder::kNoLimit)})); }
  Expression zeros(uint32_t least) { return b_.repeat(b_.bytes("0"), least, RuleBuilder::kNoLimit); }
  Expression some_not_zero() { return b_.sequence({zeros(0), digit('1', '9'), digits(0, RuleBuilder::kNoLimit)}); }

  Expression fraction_at_least(const std::string& bound, bool above) {
    if (bound.empty()) return above ? b_.sequence({b_.bytes("."), some_not_zero()}) : any_fraction();
    std::vector<Expression> ways;
    for (size_t i = 0; i < bound.size(); ++i)
      if (bound[i] < '9')
        ways.push_back(b_.sequence(
            {text(bound, i), digit(static_cast<char>(bound[i] + 1), '9'), digits(0, RuleBuilder::kNoLimit)}));
    ways.push_back(b_.sequence({b_.bytes(bound), above ? some_not_zero() : digits(0, RuleBuilder::kNoLimit)}));
    return b_.sequence({b_.bytes("."), b_.choice(std::move(ways))});
  }

  Expression fraction_at_most(const std::string& bound, bool below) {
    std::vector<Expression> ways;
    if (!bound.empty() || !below) ways.push_back(b_.empty());
    const Expression point = b_.bytes(".");
    for (size_t i = 0; i < bound.size(); ++i) {
      if (bound[i] > '0')
        ways.push_back(b_.sequence(
            {point, text(bound, i), digit('0', static_cast<char>(bound[i] - 1)), digits(0, RuleBuilder::kNoLimit)}));
      if (i > 0) ways.push_back(b_.sequence({point, text(bound, i)}));
    }
    if (!below) ways.push_back(b_.sequence({point, b_.bytes(bound), bound.empty() ? zeros(1) : zeros(0)}));
    return b_.choice(std::move(ways));
  }

  RuleBuilder& b_;
};

}  // namespace

Result<Decimal> Decimal::parse(std::string_view number) {
  Decimal out;
  const auto too_long = [&] {
    return error(Code::kUnsupported, "the bound {:.100} has more than {} digits before or {} after the point", number,
                 kMostBefore, kMostAfter);
  };
  out.negative = number.starts_with('-');
  std::string digits;
  int64_t point = -1, exponent = 0;
  for (size_t i = out.negative ? 1 : 0; i < number.size(); ++i) {
    const char c = number[i];
    if (c >= '0' && c <= '9') {
      digits += c;
    } else if (c == '.') {
      point = static_cast<int64_t>(digits.size());
    } else if (c == 'e' || c == 'E') {
      const bool down = i + 1 < number.size() && number[i + 1] == '-';
      for (size_t j = i + 1; j < number.size(); ++j)
        if (number[j] >= '0' && number[j] <= '9')
          exponent = std::min<int64_t>(exponent * 10 + (number[j] - '0'), 100000);
      if (down) exponent = -exponent;
      break;
    }
  }
  if (point < 0) point = static_cast<int64_t>(digits.size());
  point += exponent;
  if (digits.find_first_not_of('0') == std::string::npos) return Decimal{};
  if (point > 1000 || point < -1000 || digits.size() > 1000) return too_long();
  if (point < 0) digits.insert(digits.begin(), static_cast<size_t>(-point), '0'), point = 0;
  if (point > static_cast<int64_t>(digits.size())) digits.append(static_cast<size_t>(point) - digits.size(), '0');
  out.before = digits.substr(0, static_cast<size_t>(point));
  out.after = digits.substr(static_cast<size_t>(point));
  out.before.erase(0, std::min(out.before.find_first_not_of('0'), out.before.size()));
  if (out.before.empty()) out.before += '0';
  out.after.erase(out.after.find_last_not_of('0') + 1);
  if (out.before.size() > kMostBefore || out.after.size() > kMostAfter) return too_long();
  return out;
}

Result<Expression> json_number_between(RuleBuilder& builder, const NumberRange& range,
                                       std::shared_ptr<AutomatonCost> cost) {
  RuleBuilder scratch(cost);
  scratch.allow_new_rules(false);
  Digits digits(scratch);
  // Numbers of one sign, by their magnitude.
  const auto magnitudes = [&](const std::optional<Decimal>& least, bool above, const std::optional<Decimal>& most,
                              bool below) -> Result<Expression> {
    KETTE_ASSIGN(Dfa dfa, scratch.determinize(digits.any(range.decimals)));
    if (least) {
      KETTE_ASSIGN(const Dfa bound, scratch.determinize(digits.at_least(*least, above)));
      KETTE_ASSIGN(dfa, intersection(dfa, bound, *cost));
    }
    if (most) {
      KETTE_ASSIGN(const Dfa bound, scratch.determinize(digits.at_most(*most, below)));
      KETTE_ASSIGN(dfa, intersection(dfa, bound, *cost));
    }
    return builder.automaton(std::make_shared<const Dfa>(std::move(dfa)));
  };
  const auto& [least, most, above, below, decimals] = range;
  std::vector<Expression> ways;
  if (!most || !most->negative) {
    const bool from_zero = !least || least->negative;
    KETTE_ASSIGN(const Expression way, magnitudes(from_zero ? std::nullopt : least, !from_zero && above, most, below));
    ways.push_back(way);
  }
  if (!least || least->negative) {
    // Below zero: the bounds change places. Never "-0".
    const bool to_zero = !most || !most->negative;
    KETTE_ASSIGN(const Expression way, magnitudes(to_zero ? Decimal{} : *most, to_zero || below, least, above));
    ways.push_back(builder.sequence({builder.bytes("-"), way}));
  }
  return builder.choice(std::move(ways));
}

}  // namespace kette
