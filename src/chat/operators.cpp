#include "chat/operators.h"

#include <algorithm>
#include <cmath>

#include "chat/python_text.h"
#include "chat/text_operations.h"

namespace kette::jinja {
namespace {

const char* symbol(Op op) {
  switch (op) {
    case Op::kAdd: return "+";
    case Op::kSubtract: return "-";
    case Op::kMultiply: return "*";
    case Op::kDivide: return "/";
    case Op::kFloorDivide: return "//";
    case Op::kModulo: return "%";
    case Op::kPower: return "**";
    case Op::kNegative: return "unary -";
    case Op::kPositive: return "unary +";
    default: return "<";
  }
}

Value refuse(Runtime& rt, Op op, const Value& x, const Value& y) {
  if (x.is_undefined() || y.is_undefined()) {
    fail_undefined(rt, x.is_undefined() ? x : y);
  } else if (x.is(Kind::kBigInt) || y.is(Kind::kBigInt)) {
    rt.budget.fail(Code::kUnsupported, "integers beyond 64 bits cannot be computed with");
  } else {
    rt.budget.raise("unsupported operand types for {}: {} and {}", symbol(op), type_name(x), type_name(y));
  }
  return Value::none();
}

Value overflow(Runtime& rt) {
  rt.budget.fail(Code::kUnsupported, "an integer result needs more than 64 bits");
  return Value::none();
}

Value zero_division(Runtime& rt) {
  rt.budget.raise("division by zero");
  return Value::none();
}

// Python rounds the quotient down, and the remainder takes the divisor's sign.
Value integer_division(Runtime& rt, Op op, int64_t x, int64_t y) {
  if (y == 0) return zero_division(rt);
  if (y == -1) {
    if (op == Op::kModulo) return Value::integer(0);
    return x == INT64_MIN ? overflow(rt) : Value::integer(-x);
  }
  const int64_t remainder = x % y;
  const bool adjust = remainder != 0 && (remainder < 0) != (y < 0);
  return Value::integer(op == Op::kModulo ? remainder + (adjust ? y : 0) : x / y - adjust);
}

Value float_division(Runtime& rt, Op op, double x, double y) {
  if (y == 0) return zero_division(rt);
  double remainder = std::fmod(x, y);
  double quotient = (x - remainder) / y;
  if (remainder != 0) {
    if ((remainder < 0) != (y < 0)) {
      remainder += y;
      quotient -= 1;
    }
  } else {
    remainder = std::copysign(0.0, y);
  }
  if (op == Op::kModulo) return Value::real(remainder);
  if (quotient == 0) return Value::real(std::copysign(0.0, x / y));
  const double down = std::floor(quotient);
  return Value::real(quotient - down > 0.5 ? down + 1 : down);
}

Value integer_power(Runtime& rt, int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow(rt);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow(rt);
  }
  return Value::integer(result);
}

Value power(Runtime& rt, double x, double y) {
  if (x == 0 && y < 0) return zero_division(rt);
  const double result = std::pow(x, y);
  if (x < 0 && std::isfinite(x) && std::isfinite(y) && y != std::floor(y)) {
    rt.budget.fail(Code::kUnsupported, "complex numbers are not supported");
  } else if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) {
    rt.budget.raise("a power is out of range");
  }
  return Value::real(result);
}

Value integer_arithmetic(Runtime& rt, Op op, int64_t x, int64_t y) {
  int64_t result = 0;
  switch (op) {
    case Op::kAdd: return __builtin_add_overflow(x, y, &result) ? overflow(rt) : Value::integer(result);
    case Op::kSubtract: return __builtin_sub_overflow(x, y, &result) ? overflow(rt) : Value::integer(result);
    case Op::kMultiply: return __builtin_mul_overflow(x, y, &result) ? overflow(rt) : Value::integer(result);
    case Op::kDivide:
      if (y == 0) return zero_division(rt);
      // One rounding, as Python: exact operands, quotient rounded to double.
      return Value::real(static_cast<double>(static_cast<long double>(x) / static_cast<long double>(y)));
    case Op::kPower:
      return y >= 0 ? integer_power(rt, x, y) : power(rt, static_cast<double>(x), static_cast<double>(y));
    default: return integer_division(rt, op, x, y);
  }
}

Value float_arithmetic(Runtime& rt, Op op, double x, double y) {
  switch (op) {
    case Op::kAdd: return Value::real(x + y);
    case Op::kSubtract: return Value::real(x - y);
    case Op::kMultiply: return Value::real(x * y);
    case Op::kDivide: return y == 0 ? zero_division(rt) : Value::real(x / y);
    case Op::kPower: return power(rt, x, y);
    default: return float_division(rt, op, x, y);
  }
}

bool plain_sequence(const Value& v) { return v.is(Kind::kList) && v.list().flavour <= Flavour::kTuple; }

Value repeat(Runtime& rt, const Value& x, int64_t times) {
  if (x.is(Kind::kString)) {
    TextBuilder out(rt.budget);
    if (x.text().size() != 0)
      for (int64_t i = 0; i < times && rt.budget.ok(); ++i) out.append(x.text());
    return make_string(std::move(out));
  }
  std::vector<Value> items;
  const std::vector<Value>& from = x.list().items;
  for (int64_t i = 0; i < times && !from.empty(); ++i) {
    rt.budget.spend(from.size());
    if (!rt.budget.ok()) return Value::none();
    items.insert(items.end(), from.begin(), from.end());
  }
  return make_list(rt.budget, std::move(items), x.list().flavour);
}

Value concatenate(Runtime& rt, const Value& x, const Value& y) {
  if (x.is(Kind::kString)) {
    TextBuilder out(rt.budget);
    out.append(x.text());
    out.append(y.text());
    return make_string(std::move(out));
  }
  std::vector<Value> items = x.list().items;
  items.insert(items.end(), y.list().items.begin(), y.list().items.end());
  rt.budget.spend(items.size());
  return make_list(rt.budget, std::move(items), x.list().flavour);
}

int order_numbers(const Value& x, const Value& y) {
  if (x.is_integer() && y.is_integer()) return x.integer() < y.integer() ? -1 : x.integer() > y.integer();
  // long double holds every int64 and every double, so mixed comparisons are exact.
  const auto wide = [](const Value& v) {
    return v.is_integer() ? static_cast<long double>(v.integer()) : static_cast<long double>(v.real());
  };
  return wide(x) < wide(y) ? -1 : wide(x) > wide(y);
}

bool equal_dicts(Runtime& rt, const Dict& x, const Dict& y) {
  if (x.entries.size() != y.entries.size()) return false;
  for (const auto& [key, value] : x.entries) {
    const Value* other = y.find(key);
    if (other == nullptr || !rt.budget.ok() || !equal(rt, value, *other)) return false;
  }
  return true;
}

}  // namespace

Value unary(Runtime& rt, Op op, const Value& x) {
  if (op == Op::kNot) return Value::boolean(!truthy(x));
  if (!x.is_number()) return refuse(rt, op, x, x);
  if (x.is(Kind::kFloat)) return Value::real(op == Op::kNegative ? -x.real() : x.real());
  return integer_arithmetic(rt, op == Op::kNegative ? Op::kSubtract : Op::kAdd, 0, x.integer());
}

Value binary(Runtime& rt, Op op, const Value& x, const Value& y) {
  if (x.is_integer() && y.is_integer()) return integer_arithmetic(rt, op, x.integer(), y.integer());
  if (x.is_number() && y.is_number()) return float_arithmetic(rt, op, x.real(), y.real());
  if (op == Op::kAdd && x.is(Kind::kString) && y.is(Kind::kString)) return concatenate(rt, x, y);
  if (op == Op::kAdd && plain_sequence(x) && plain_sequence(y) && x.list().flavour == y.list().flavour)
    return concatenate(rt, x, y);
  if (op == Op::kMultiply && (x.is(Kind::kString) || plain_sequence(x)) && y.is_integer())
    return repeat(rt, x, y.integer());
  if (op == Op::kMultiply && (y.is(Kind::kString) || plain_sequence(y)) && x.is_integer())
    return repeat(rt, y, x.integer());
  if (op == Op::kModulo && x.is(Kind::kString)) return format_percent(rt, x.text(), y);
  return refuse(rt, op, x, y);
}

bool equal(Runtime& rt, const Value& x, const Value& y) {
  rt.budget.spend(1);
  if (x.is_number() && y.is_number()) {
    return !(std::isnan(x.real()) || std::isnan(y.real())) && order_numbers(x, y) == 0;
  }
  if (x.kind() != y.kind()) return false;
  switch (x.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString:
    case Kind::kBigInt: rt.budget.spend(x.text().size() / 64); return x.view() == y.view();
    case Kind::kDict: return equal_dicts(rt, x.dict(), y.dict());
    case Kind::kList: {
      const List& a = x.list();
      const List& b = y.list();
      if (&a == &b) return true;
      if (a.flavour != b.flavour || a.flavour == Flavour::kGenerator || a.items.size() != b.items.size()) return false;
      for (size_t i = 0; i < a.items.size(); ++i)
        if (!rt.budget.ok() || !equal(rt, a.items[i], b.items[i])) return false;
      return true;
    }
    case Kind::kFunction: return x.function() == y.function();
    case Kind::kNamespace: return &x.name_space() == &y.name_space();
    case Kind::kMacro: return &x.macro() == &y.macro();
    case Kind::kLoop: return &x.loop() == &y.loop();
    default: return false;
  }
}

int order(Runtime& rt, const Value& x, const Value& y) {
  rt.budget.spend(1);
  if (x.is_number() && y.is_number()) return order_numbers(x, y);
  if (x.is(Kind::kString) && y.is(Kind::kString)) {
    rt.budget.spend(std::min(x.text().size(), y.text().size()) / 64);
    return x.view().compare(y.view());  // byte order of UTF-8 is code point order
  }
  if (plain_sequence(x) && plain_sequence(y) && x.list().flavour == y.list().flavour) {
    const std::vector<Value>& a = x.list().items;
    const std::vector<Value>& b = y.list().items;
    for (size_t i = 0; i < a.size() && i < b.size() && rt.budget.ok(); ++i)
      if (!equal(rt, a[i], b[i])) return order(rt, a[i], b[i]);
    return a.size() < b.size() ? -1 : a.size() > b.size();
  }
  refuse(rt, Op::kLess, x, y);
  return 0;
}

bool contains(Runtime& rt, const Value& container, const Value& x) {
  switch (container.kind()) {
    case Kind::kString:
      if (!x.is(Kind::kString)) {
        rt.budget.raise("'in <string>' needs a string on its left, found {}", type_name(x));
        return false;
      }
      rt.budget.spend(container.text().size() / 16);
      return find_text(container.view(), x.view()) != std::string_view::npos;
    case Kind::kDict:
      rt.budget.spend(container.dict().sorted.empty() || x.is(Kind::kString) ? 1 : container.dict().entries.size());
      if ((x.is(Kind::kList) && x.list().flavour == Flavour::kList) || x.is(Kind::kDict))
        rt.budget.raise("unhashable type: {}", type_name(x));
      return container.dict().find(x) != nullptr;
    case Kind::kList:
    case Kind::kLoop:
    case Kind::kUndefined: {
      const Value items = iterate(rt, container);
      if (!items.is(Kind::kList)) return false;
      for (const Value& candidate : items.list().items) {
        if (!rt.budget.ok()) return false;
        if (equal(rt, candidate, x)) return true;
      }
      return false;
    }
    default: rt.budget.raise("a {} is not iterable", type_name(container)); return false;
  }
}

Value compare(Runtime& rt, Op op, const Value& x, const Value& y) {
  switch (op) {
    case Op::kEqual: return Value::boolean(equal(rt, x, y));
    case Op::kNotEqual: return Value::boolean(!equal(rt, x, y));
    case Op::kIn: return Value::boolean(contains(rt, y, x));
    case Op::kNotIn: return Value::boolean(!contains(rt, y, x));
    default: break;
  }
  if ((x.is(Kind::kFloat) && std::isnan(x.real())) || (y.is(Kind::kFloat) && std::isnan(y.real())))
    return x.is_number() && y.is_number() ? Value::boolean(false) : refuse(rt, op, x, y);
  const int sign = order(rt, x, y);
  if (op == Op::kLess) return Value::boolean(sign < 0);
  if (op == Op::kLessEqual) return Value::boolean(sign <= 0);
  if (op == Op::kGreater) return Value::boolean(sign > 0);
  return Value::boolean(sign >= 0);
}

void fail_undefined(Runtime& rt, const Value& value) {
  const auto id = static_cast<uint32_t>(value.integer());
  rt.budget.raise("'{}' is undefined", excerpt(id == kNoName ? "a value" : rt.name(id), 60));
}

}  // namespace kette::jinja
