// map, select, reject, selectattr, rejectattr: filters that take the name of another filter or test.
#include "chat/filters.h"
#include "chat/operators.h"

namespace kette::jinja {
namespace {

// `arguments` less its first `count` positional ones.
Arguments without_first(const Arguments& arguments, size_t count) {
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(count), arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

const Builtin* named_row(Runtime& rt, const Value& name, const char* what, const Builtin* (*find)(std::string_view)) {
  const std::string_view text = text_argument(rt, name).view();
  const Builtin* row = find(text);
  if (row == nullptr) rt.budget.fail(Code::kUnsupported, "no {} named '{}'", what, excerpt(text, 60));
  return row;
}

Value map_attribute(Runtime& rt, const std::vector<Value>& items, const Arguments& a) {
  Value path;
  Value otherwise;
  for (const auto& [name, value] : a.named) {
    if (name == "attribute") {
      path = value;
    } else if (name == "default") {
      otherwise = value.is_none() ? Value() : value;
    } else {
      rt.budget.raise("map cannot take the argument '{}'", excerpt(name, 40));
    }
  }
  std::vector<Value> results;
  for (const Value& item : items) {
    if (!rt.budget.ok()) return Value::none();
    results.push_back(follow_path(rt, item, path, otherwise));
  }
  return make_list(rt.budget, std::move(results), Flavour::kGenerator);
}

// jinja2.filters looks at the items only `if value`: a false value has none, whatever its type.
Value items_if_true(Runtime& rt, const Value& v) { return truthy(v) ? iterate(rt, v) : make_list(rt.budget, {}); }

Value map(Runtime& rt, const Value& v, const Arguments& a) {
  const Value list = items_if_true(rt, v);
  if (!rt.budget.ok()) return Value::none();
  const std::vector<Value>& items = list.list().items;
  if (a.positional.empty()) {
    for (const auto& [name, value] : a.named)
      if (name == "attribute") return map_attribute(rt, items, a);
    if (!items.empty()) rt.budget.raise("map needs the name of a filter, or attribute=");
  }
  std::vector<Value> results;
  if (!items.empty() && rt.budget.ok()) {
    const Builtin* row = named_row(rt, a.positional[0], "filter", find_filter);
    const Arguments rest = without_first(a, 1);
    for (const Value& item : items) {
      rt.budget.spend(2);
      if (!rt.budget.ok()) return Value::none();
      results.push_back(call_builtin(rt, *row, item, rest));
    }
  }
  return make_list(rt.budget, std::move(results), Flavour::kGenerator);
}

template <bool kAttribute, bool kKeep>
Value select(Runtime& rt, const Value& v, const Arguments& a) {
  const Value list = items_if_true(rt, v);
  if (!rt.budget.ok()) return Value::none();
  std::vector<Value> kept;
  const std::vector<Value>& items = list.list().items;
  if (kAttribute && a.positional.empty() && !items.empty()) rt.budget.raise("the name of an attribute is needed");
  if (!items.empty() && rt.budget.ok()) {
    constexpr size_t kSkipped = kAttribute ? 1 : 0;
    const bool by_test = a.positional.size() > kSkipped;
    const Builtin* row = by_test ? named_row(rt, a.positional[kSkipped], "test", find_test) : nullptr;
    const Arguments rest = by_test ? without_first(a, kSkipped + 1) : Arguments{};
    for (const Value& item : items) {
      rt.budget.spend(2);
      if (!rt.budget.ok()) return Value::none();
      Value subject = kAttribute ? follow_path(rt, item, a.positional[0], Value()) : item;
      if (by_test && rt.budget.ok()) subject = call_builtin(rt, *row, subject, rest);
      if (truthy(subject) == kKeep) kept.push_back(item);
    }
  }
  return make_list(rt.budget, std::move(kept), Flavour::kGenerator);
}

constexpr Builtin kFilters[] = {
    {"map", "*", map},
    {"select", "*", select<false, true>},
    {"reject", "*", select<false, false>},
    {"selectattr", "*", select<true, true>},
    {"rejectattr", "*", select<true, false>},
};

}  // namespace

std::span<const Builtin> selecting_filters() { return kFilters; }

}  // namespace kette::jinja
