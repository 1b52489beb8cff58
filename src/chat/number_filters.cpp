// int, float, abs, round, default: filters on single values.
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "chat/filters.h"
#include "chat/operators.h"
#include "chat/text_operations.h"

namespace kette::jinja {
namespace {

const Value& at(const Arguments& a, size_t i) { return a.positional[i]; }

// Python's int() and float() take white space around, and single underscores between digits. Empty: refused.
std::string number_text(Runtime& rt, const Value& v) {
  const Value stripped = strip(rt, v.text(), Value(), true, true);
  if (!stripped.is(Kind::kString)) return {};
  const std::string_view text = stripped.view();
  std::string plain;
  const auto part = [&](size_t i) {
    return i < text.size() && std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain += text[i];
    } else if (i == 0 || !part(i - 1) || !part(i + 1)) {
      return {};
    }
  }
  return plain;
}

std::optional<double> parse_float(Runtime& rt, const Value& v) {
  const std::string text = number_text(rt, v);
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.empty() || digits.find_first_of("(-+") == 0 || digits.find('(') != digits.npos) return std::nullopt;
  double value = 0;
  const auto [stop, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (stop != digits.data() + digits.size()) return std::nullopt;
  if (problem == std::errc::result_out_of_range) value = digits.find("e-") != digits.npos ? 0 : HUGE_VAL;
  if (problem == std::errc::invalid_argument) return std::nullopt;
  return negative ? -value : value;
}

std::optional<Value> parse_int(Runtime& rt, const Value& v, int64_t base) {
  std::string text = number_text(rt, v);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.erase(0, 1);
  if (text.size() > 2 && text[0] == '0' && (base == 16 || base == 8 || base == 2)) {
    const char prefix = static_cast<char>(text[1] | 0x20);
    if (prefix == (base == 16 ? 'x' : base == 8 ? 'o' : 'b')) text.erase(0, 2);
  }
  if (text.empty() || text[0] == '-') return std::nullopt;
  if (negative) text.insert(text.begin(), '-');
  int64_t value = 0;
  const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), value, static_cast<int>(base));
  if (problem == std::errc::invalid_argument || stop != text.data() + text.size()) return std::nullopt;
  if (problem == std::errc::result_out_of_range) {
    if (base != 10) rt.budget.fail(Code::kUnsupported, "an integer beyond 64 bits in base {}", base);
    return make_big_integer(rt.budget, text);
  }
  return Value::integer(value);
}

std::optional<Value> truncate(Runtime& rt, double value) {
  if (std::isnan(value) || std::isinf(value)) return std::nullopt;
  if (std::fabs(value) >= 9.2e18) {
    rt.budget.fail(Code::kUnsupported, "an integer result needs more than 64 bits");
    return std::nullopt;
  }
  return Value::integer(static_cast<int64_t>(value));
}

Value to_int(Runtime& rt, const Value& v, const Arguments& a) {
  Value otherwise = at(a, 0).is_missing() ? Value::integer(0) : at(a, 0);
  const int64_t base = integer_or(rt, at(a, 1), 10);
  if (base < 2 || base > 36) rt.budget.raise("int: a base of {}", base);
  if (v.is_undefined()) fail_undefined(rt, v);
  if (!rt.budget.ok()) return Value::none();
  if (v.is(Kind::kBigInt)) return v;
  if (v.is_integer()) return Value::integer(v.integer());
  if (v.is(Kind::kFloat) && std::isinf(v.real())) return otherwise;
  std::optional<Value> result;
  if (v.is(Kind::kFloat)) result = truncate(rt, v.real());
  if (v.is(Kind::kString)) {
    result = parse_int(rt, v, base);
    if (!result)
      if (const std::optional<double> real = parse_float(rt, v)) result = truncate(rt, *real);
  }
  return result ? *result : otherwise;
}

Value to_float(Runtime& rt, const Value& v, const Arguments& a) {
  if (v.is_undefined()) fail_undefined(rt, v);
  if (v.is_number()) return Value::real(v.real());
  if (v.is(Kind::kString) || v.is(Kind::kBigInt))
    if (const std::optional<double> real = parse_float(rt, v)) return Value::real(*real);
  return at(a, 0).is_missing() ? Value::real(0) : at(a, 0);
}

Value absolute(Runtime& rt, const Value& v, const Arguments&) {
  if (v.is(Kind::kFloat)) return Value::real(std::fabs(v.real()));
  if (v.is_integer() && v.integer() >= 0) return Value::integer(v.integer());
  return unary(rt, Op::kNegative, v);
}

// Round half to even on the exact decimal value, as Python does; printing does it for us.
double round_decimal(double value, int64_t precision) {
  if (precision > 400 || !std::isfinite(value)) return value;
  if (precision < 0) {
    if (precision < -400) return std::copysign(0.0, value);
    const double power = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / power) * power;
  }
  char buffer[800];
  const auto printed =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, static_cast<int>(precision));
  double rounded = value;
  if (printed.ec == std::errc()) std::from_chars(buffer, printed.ptr, rounded);
  return rounded;
}

Value round(Runtime& rt, const Value& v, const Arguments& a) {
  const int64_t precision = integer_or(rt, at(a, 0), 0);
  const std::string_view method = at(a, 1).is_missing() ? "common" : text_argument(rt, at(a, 1)).view();
  if (method != "common" && method != "ceil" && method != "floor")
    rt.budget.raise("round: the method must be common, ceil or floor");
  if (v.is_undefined()) fail_undefined(rt, v);
  if (!v.is_number()) rt.budget.raise("round: expected a number, found {}", type_name(v));
  if (!rt.budget.ok()) return Value::none();
  if (method == "common") {
    if (v.is(Kind::kFloat)) return Value::real(round_decimal(v.real(), precision));
    if (precision >= 0) return Value::integer(v.integer());
    rt.budget.fail(Code::kUnsupported, "round: an integer with a negative precision");
    return Value::none();
  }
  const double power = std::pow(10.0, static_cast<double>(precision));
  const double scaled = v.real() * power;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

Value or_default(Runtime& rt, const Value& v, const Arguments& a) {
  if (!v.is_undefined() && (!flag_or(at(a, 1), false) || truthy(v))) return v;
  return at(a, 0).is_missing() ? make_string(rt.budget, "", true) : at(a, 0);
}

constexpr Builtin kFilters[] = {
    {"int", "default? base?", to_int},
    {"float", "default?", to_float},
    {"abs", "", absolute},
    {"round", "precision? method?", round},
    {"default", "default_value? boolean?", or_default},
    {"d", "default_value? boolean?", or_default},
};

}  // namespace

std::span<const Builtin> number_filters() { return kFilters; }

}  // namespace kette::jinja
