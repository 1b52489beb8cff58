// Filters over whole sequences: length, first, join, sort, ...
#include <algorithm>
#include <set>

#include "chat/filters.h"
#include "chat/operators.h"
#include "chat/python_text.h"
#include "chat/text_operations.h"

namespace kette::jinja {
namespace {

const Value& at(const Arguments& a, size_t i) { return a.positional[i]; }

// The items, or none after a failure.
std::vector<Value> items_of(Runtime& rt, const Value& v) {
  const Value items = iterate(rt, v);
  if (!rt.budget.ok() || !items.is(Kind::kList)) return {};
  return items.list().items;
}

Value fold_case(Runtime& rt, Value v, bool case_sensitive) {
  if (case_sensitive || !v.is(Kind::kString)) return v;
  return change_case(rt, v.text(), Case::kLower);
}

Value key_of(Runtime& rt, const Value& item, const Value& path, bool case_sensitive) {
  return fold_case(rt, follow_path(rt, item, path, Value()), case_sensitive);
}

Value first(Runtime& rt, const Value& v, const Arguments&) {
  if (v.is(Kind::kList)) {
    List& list = v.list();
    const size_t i = list.next;
    if (i >= list.items.size()) return Value::undefined();
    if (list.flavour == Flavour::kGenerator) ++list.next;
    return list.items[i];
  }
  if (v.is(Kind::kString)) return item(rt, v, Value::integer(0));
  const std::vector<Value> items = items_of(rt, v);
  return items.empty() ? Value::undefined() : items.front();
}

Value last(Runtime& rt, const Value& v, const Arguments&) {
  if (v.is(Kind::kString)) return item(rt, v, Value::integer(-1));
  if (v.is(Kind::kList) && v.list().flavour == Flavour::kGenerator)
    rt.budget.raise("a generator has no last item; make a list of it first");
  const std::vector<Value> items = items_of(rt, v);
  return items.empty() ? Value::undefined() : items.back();
}

Value to_list(Runtime& rt, const Value& v, const Arguments&) { return make_list(rt.budget, items_of(rt, v)); }

Value reverse(Runtime& rt, const Value& v, const Arguments&) {
  if (v.is(Kind::kString)) return slice(rt, v, Value::none(), Value::none(), Value::integer(-1));
  std::vector<Value> items = items_of(rt, v);
  std::reverse(items.begin(), items.end());
  return make_list(rt.budget, std::move(items), Flavour::kGenerator);
}

Value join_filter(Runtime& rt, const Value& v, const Arguments& a) {
  const Value separator = at(a, 0).is_missing() ? make_string(rt.budget, "", true) : to_string(rt, at(a, 0));
  std::vector<Value> items = items_of(rt, v);
  if (!at(a, 1).is_missing() && !at(a, 1).is_none())
    for (Value& item : items) item = follow_path(rt, item, at(a, 1), Value());
  return rt.budget.ok() ? join(rt, separator.text(), items) : Value::none();
}

Value dict_items(Runtime& rt, const Value& v, const Arguments& a) {
  if (v.is_undefined()) return make_list(rt.budget, {}, Flavour::kGenerator);
  if (!v.is(Kind::kDict)) {
    rt.budget.raise("items: expected a mapping, found {}", type_name(v));
    return Value::none();
  }
  const Value pairs = call_builtin(rt, *find_method(v, "items"), v, a);
  return rt.budget.ok() ? make_list(rt.budget, pairs.list().items, Flavour::kGenerator) : Value::none();
}

struct Keyed {
  std::vector<Value> keys;
  Value item;
};

// Stable. Lists of keys compare as Python's do: the first unequal pair decides.
Value sort_keyed(Runtime& rt, std::vector<Keyed> rows, bool reversed) {
  const auto less = [&](const Keyed& x, const Keyed& y) {
    for (size_t i = 0; i < x.keys.size() && rt.budget.ok(); ++i)
      if (!equal(rt, x.keys[i], y.keys[i])) return order(rt, x.keys[i], y.keys[i]) < 0;
    return false;
  };
  // Python's reverse keeps the order of equal items: sort backwards from both ends.
  if (reversed) std::reverse(rows.begin(), rows.end());
  std::stable_sort(rows.begin(), rows.end(), less);
  if (reversed) std::reverse(rows.begin(), rows.end());
  std::vector<Value> items;
  items.reserve(rows.size());
  for (Keyed& row : rows) items.push_back(std::move(row.item));
  return make_list(rt.budget, std::move(items));
}

// "a,b.c" -> the paths "a" and "b.c"
std::vector<Value> paths_of(Runtime& rt, const Value& attribute) {
  if (!attribute.is(Kind::kString)) return {attribute};
  const Value parts = split(rt, attribute.text(), make_string(rt.budget, ",", true), -1, false);
  return parts.is(Kind::kList) ? parts.list().items : std::vector<Value>{};
}

Value sort(Runtime& rt, const Value& v, const Arguments& a) {
  const bool case_sensitive = flag_or(at(a, 1), false);
  const std::vector<Value> paths = paths_of(rt, at(a, 2));
  std::vector<Keyed> rows;
  for (Value& item : items_of(rt, v)) {
    std::vector<Value> keys;
    keys.reserve(paths.size());
    for (const Value& path : paths) keys.push_back(key_of(rt, item, path, case_sensitive));
    if (!rt.budget.ok()) return Value::none();
    rows.push_back({std::move(keys), std::move(item)});
  }
  return sort_keyed(rt, std::move(rows), flag_or(at(a, 0), false));
}

Value dict_sort(Runtime& rt, const Value& v, const Arguments& a) {
  const bool case_sensitive = flag_or(at(a, 0), false);
  const std::string_view by = at(a, 1).is_missing() ? "key" : text_argument(rt, at(a, 1)).view();
  if (by != "key" && by != "value") rt.budget.raise("dictsort: by must be key or value");
  if (!v.is(Kind::kDict)) rt.budget.raise("dictsort: expected a mapping, found {}", type_name(v));
  if (!rt.budget.ok()) return Value::none();
  std::vector<Keyed> rows;
  for (const auto& [key, value] : v.dict().entries) {
    if (!rt.budget.ok()) return Value::none();
    rows.push_back({{fold_case(rt, by == "key" ? key : value, case_sensitive)},
                    make_list(rt.budget, {key, value}, Flavour::kTuple)});
  }
  return sort_keyed(rt, std::move(rows), flag_or(at(a, 2), false));
}

Value unique(Runtime& rt, const Value& v, const Arguments& a) {
  std::set<Value, decltype(&key_less)> seen(&key_less);
  std::vector<Value> kept;
  for (Value& item : items_of(rt, v)) {
    Value key = key_of(rt, item, at(a, 1), flag_or(at(a, 0), false));
    if (key.is_undefined()) key = Value::none();
    rt.budget.spend(4);
    if (!can_be_key(key)) rt.budget.fail(Code::kUnsupported, "unique: cannot tell values of type {}", type_name(key));
    if (!rt.budget.ok()) return Value::none();
    if (seen.insert(key).second) kept.push_back(std::move(item));
  }
  return make_list(rt.budget, std::move(kept), Flavour::kGenerator);
}

Value extreme(Runtime& rt, const Value& v, const Arguments& a, bool maximum) {
  const bool case_sensitive = flag_or(at(a, 0), false);
  Value best = Value::undefined();
  Value best_key;
  for (const Value& item : items_of(rt, v)) {
    Value key = key_of(rt, item, at(a, 1), case_sensitive);
    if (!rt.budget.ok()) return Value::none();
    const int sign = best_key.is_missing() ? 1 : maximum ? order(rt, key, best_key) : order(rt, best_key, key);
    if (sign <= 0) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

Value sum(Runtime& rt, const Value& v, const Arguments& a) {
  Value total = at(a, 1).is_missing() ? Value::integer(0) : at(a, 1);
  if (total.is(Kind::kString)) rt.budget.raise("sum cannot add strings; use join");
  for (const Value& item : items_of(rt, v)) {
    if (!rt.budget.ok()) return Value::none();
    total = binary(rt, Op::kAdd, total, follow_path(rt, item, at(a, 0), Value()));
  }
  return total;
}

Value batch(Runtime& rt, const Value& v, const Arguments& a) {
  const int64_t size = integer_or(rt, at(a, 0), 1);
  if (size < 1 || size > kMaxRange) rt.budget.raise("batch: a size of {}", size);
  std::vector<Value> batches;
  std::vector<Value> current;
  const auto flush = [&] {
    if (!at(a, 1).is_missing() && !at(a, 1).is_none()) current.resize(static_cast<size_t>(size), at(a, 1));
    batches.push_back(make_list(rt.budget, std::exchange(current, {})));
  };
  for (Value& item : items_of(rt, v)) {
    if (!rt.budget.ok()) return Value::none();
    current.push_back(std::move(item));
    if (static_cast<int64_t>(current.size()) == size) flush();
  }
  if (!current.empty()) flush();
  return make_list(rt.budget, std::move(batches), Flavour::kGenerator);
}

Value length_filter(Runtime& rt, const Value& v, const Arguments&) { return Value::integer(length(rt, v)); }

constexpr Builtin kFilters[] = {
    {"length", "", length_filter},
    {"count", "", length_filter},
    {"first", "", first},
    {"last", "", last},
    {"list", "", to_list},
    {"reverse", "", reverse},
    {"join", "d? attribute?", join_filter},
    {"items", "", dict_items},
    {"sort", "reverse? case_sensitive? attribute?", sort},
    {"dictsort", "case_sensitive? by? reverse?", dict_sort},
    {"unique", "case_sensitive? attribute?", unique},
    {"min", "case_sensitive? attribute?", [](auto& rt, auto& v, auto& a) { return extreme(rt, v, a, false); }},
    {"max", "case_sensitive? attribute?", [](auto& rt, auto& v, auto& a) { return extreme(rt, v, a, true); }},
    {"sum", "attribute? start?", sum},
    {"batch", "linecount fill_with?", batch},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return kFilters; }

Value follow_path(Runtime& rt, Value value, const Value& path, const Value& otherwise) {
  if (path.is_missing() || path.is_none()) return value;
  if (!path.is(Kind::kString)) {
    value = item(rt, value, path);
    return value.is_undefined() && !otherwise.is_missing() ? otherwise : value;
  }
  const std::string_view parts = path.view();
  for (size_t begin = 0; begin <= parts.size() && rt.budget.ok();) {
    const size_t end = std::min(parts.find('.', begin), parts.size());
    const std::string_view part = parts.substr(begin, end - begin);
    const bool index = !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == part.npos;
    value = index ? item(rt, value, Value::integer(std::stoll(std::string(part))))
                  : item(rt, value, make_string(rt.budget, part, true));
    if (value.is_undefined() && !otherwise.is_missing()) value = otherwise;
    begin = end + 1;
  }
  return value;
}

}  // namespace kette::jinja
