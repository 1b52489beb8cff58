// The tests behind `is`.
#include <utf8proc.h>

#include "chat/operators.h"
#include "chat/python_text.h"

namespace kette::jinja {
namespace {

const Value& at(const Arguments& a, size_t i) { return a.positional[i]; }

template <Kind kKind>
Value is_kind(Runtime&, const Value& v, const Arguments&) {
  return Value::boolean(v.is(kKind));
}

template <Op kOp>
Value compares(Runtime& rt, const Value& v, const Arguments& a) {
  return compare(rt, kOp, v, at(a, 0));
}

template <bool kWanted>
Value is_boolean_value(Runtime&, const Value& v, const Arguments&) {
  return Value::boolean(v.is(Kind::kBool) && (v.integer() != 0) == kWanted);
}

Value remainder(Runtime& rt, const Value& v, const Value& divisor, int64_t wanted) {
  const Value rest = binary(rt, Op::kModulo, v, divisor);
  return Value::boolean(rt.budget.ok() && equal(rt, rest, Value::integer(wanted)));
}

Value is_iterable(Runtime&, const Value& v, const Arguments&) {
  return Value::boolean(v.is(Kind::kString) || v.is(Kind::kList) || v.is(Kind::kDict) || v.is(Kind::kLoop) ||
                        v.is_undefined());
}

// Python: has a length and items by index. A dict has, so has Jinja's Undefined.
Value is_sequence(Runtime&, const Value& v, const Arguments&) {
  return Value::boolean(v.is(Kind::kString) || v.is(Kind::kDict) || v.is_undefined() ||
                        (v.is(Kind::kList) && v.list().flavour <= Flavour::kRange));
}

Value is_callable(Runtime&, const Value& v, const Arguments&) {
  return Value::boolean(v.is(Kind::kMacro) || v.is(Kind::kFunction) || v.is(Kind::kMethod) || v.is_undefined());
}

Value is_same(Runtime& rt, const Value& v, const Arguments& a) {
  const Value& other = at(a, 0);
  if (v.kind() != other.kind()) return Value::boolean(false);
  if (v.is(Kind::kList)) return Value::boolean(&v.list() == &other.list());
  if (v.is(Kind::kDict)) return Value::boolean(&v.dict() == &other.dict());
  return Value::boolean(equal(rt, v, other));
}

// str.islower, str.isupper: some letter has a case, and all that have are of this one.
Value is_case(Runtime& rt, const Value& v, bool lower) {
  const Value text = to_string(rt, v);
  if (!text.is(Kind::kString)) return Value::none();
  rt.budget.spend(text.text().size() / 16);
  bool found = false;
  for (size_t i = 0; i < text.text().size();) {
    const CodePoint c = decode_at(text.view(), i);
    const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c.value));
    const bool is_upper = category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
    const bool is_lower = category == UTF8PROC_CATEGORY_LL;
    if (lower ? is_upper : is_lower) return Value::boolean(false);
    found = found || is_upper || is_lower;
    i += c.length;
  }
  return Value::boolean(found);
}

constexpr Builtin kTests[] = {
    {"defined", "", [](auto&, auto& v, auto&) { return Value::boolean(!v.is_undefined()); }},
    {"undefined", "", is_kind<Kind::kUndefined>},
    {"none", "", is_kind<Kind::kNone>},
    {"boolean", "", is_kind<Kind::kBool>},
    {"true", "", is_boolean_value<true>},
    {"false", "", is_boolean_value<false>},
    {"integer", "", [](auto&, auto& v, auto&) { return Value::boolean(v.is(Kind::kInt) || v.is(Kind::kBigInt)); }},
    {"float", "", is_kind<Kind::kFloat>},
    {"number", "", [](auto&, auto& v, auto&) { return Value::boolean(v.is_number() || v.is(Kind::kBigInt)); }},
    {"string", "", is_kind<Kind::kString>},
    {"mapping", "", is_kind<Kind::kDict>},
    {"iterable", "", is_iterable},
    {"sequence", "", is_sequence},
    {"callable", "", is_callable},
    {"sameas", "other", is_same},
    {"lower", "", [](auto& rt, auto& v, auto&) { return is_case(rt, v, true); }},
    {"upper", "", [](auto& rt, auto& v, auto&) { return is_case(rt, v, false); }},
    {"odd", "", [](auto& rt, auto& v, auto&) { return remainder(rt, v, Value::integer(2), 1); }},
    {"even", "", [](auto& rt, auto& v, auto&) { return remainder(rt, v, Value::integer(2), 0); }},
    {"divisibleby", "num", [](auto& rt, auto& v, auto& a) { return remainder(rt, v, at(a, 0), 0); }},
    {"in", "seq", [](auto& rt, auto& v, auto& a) { return Value::boolean(contains(rt, at(a, 0), v)); }},
    {"filter", "",
     [](auto&, const Value& v, auto&) {
       return Value::boolean(v.is(Kind::kString) && find_filter(v.view()) != nullptr);
     }},
    {"test", "",
     [](auto&, const Value& v, auto&) {
       return Value::boolean(v.is(Kind::kString) && find_test(v.view()) != nullptr);
     }},
    {"equalto", "other", compares<Op::kEqual>},
    {"eq", "other", compares<Op::kEqual>},
    {"==", "other", compares<Op::kEqual>},
    {"ne", "other", compares<Op::kNotEqual>},
    {"!=", "other", compares<Op::kNotEqual>},
    {"lessthan", "other", compares<Op::kLess>},
    {"lt", "other", compares<Op::kLess>},
    {"<", "other", compares<Op::kLess>},
    {"le", "other", compares<Op::kLessEqual>},
    {"<=", "other", compares<Op::kLessEqual>},
    {"greaterthan", "other", compares<Op::kGreater>},
    {"gt", "other", compares<Op::kGreater>},
    {">", "other", compares<Op::kGreater>},
    {"ge", "other", compares<Op::kGreaterEqual>},
    {">=", "other", compares<Op::kGreaterEqual>},
};

}  // namespace

const Builtin* find_test(std::string_view name) {
  for (const Builtin& row : kTests)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace kette::jinja
