// The global functions: Jinja's own, and the two Hugging Face adds.
#include "chat/operators.h"
#include "chat/python_text.h"
#include "chat/strftime.h"

namespace kette::jinja {
namespace {

const Value& at(const Arguments& a, size_t i) { return a.positional[i]; }

Value range(Runtime& rt, const Value&, const Arguments& a) {
  const bool only_stop = at(a, 1).is_missing();
  for (const Value& v : a.positional)
    if (v.is_none()) rt.budget.raise("range needs integers");
  const int64_t start = only_stop ? 0 : integer_or(rt, at(a, 0), 0);
  const int64_t stop = integer_or(rt, at(a, only_stop ? 0 : 1), 0);
  const int64_t step = integer_or(rt, at(a, 2), 1);
  if (step == 0) rt.budget.raise("range needs a step other than zero");
  std::vector<Value> items;
  int64_t i = start;
  while (rt.budget.ok() && (step > 0 ? i < stop : i > stop)) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      rt.budget.raise("range is longer than {}", kMaxRange);
      break;
    }
    items.push_back(Value::integer(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  rt.budget.spend(items.size() / 8);
  return make_list(rt.budget, std::move(items), Flavour::kRange);
}

using Entries = std::vector<std::pair<Value, Value>>;

// The entries of dict(...) and namespace(...): a mapping or pairs, then keywords.
Entries entries_of(Runtime& rt, const Arguments& a) {
  Entries entries;
  if (a.positional.size() > 1) rt.budget.raise("at most one positional argument is taken");
  if (!a.positional.empty() && a.positional[0].is(Kind::kDict)) {
    entries = a.positional[0].dict().entries;
  } else if (!a.positional.empty()) {
    const Value pairs = iterate(rt, a.positional[0]);
    if (!pairs.is(Kind::kList)) return {};
    for (const Value& pair : pairs.list().items) {
      const Value two = iterate(rt, pair);
      if (!rt.budget.ok()) return {};
      if (two.list().items.size() != 2) {
        rt.budget.raise("expected pairs of key and value");
        return {};
      }
      entries.emplace_back(two.list().items[0], two.list().items[1]);
    }
  }
  rt.budget.spend(entries.size());
  for (const auto& [name, value] : a.named) entries.emplace_back(make_string(rt.budget, name, false), value);
  return entries;
}

Value dict(Runtime& rt, const Value&, const Arguments& a) {
  Entries entries = entries_of(rt, a);
  return rt.budget.ok() ? make_dict(rt.budget, std::move(entries)) : Value::none();
}

Value name_space(Runtime& rt, const Value& self, const Arguments& a) {
  const Value attributes = dict(rt, self, a);
  if (!attributes.is(Kind::kDict)) return Value::none();
  const auto& entries = attributes.dict().entries;
  size_t bytes = sizeof(Namespace);
  for (const auto& [name, value] : entries) bytes += sizeof(entries[0]) + text_argument(rt, name).size();
  if (!rt.budget.ok() || !rt.budget.charge(bytes)) return Value::none();
  Namespace& made = rt.namespaces.emplace_back();
  for (const auto& [name, value] : entries) made.attributes.emplace_back(name.view(), value);
  return Value::name_space(&made);
}

Value raise_exception(Runtime& rt, const Value&, const Arguments& a) {
  const Value message = to_string(rt, at(a, 0));
  if (message.is(Kind::kString)) rt.budget.raise("the template refuses: {}", excerpt(message.view(), 160));
  return Value::none();
}

Value strftime_now(Runtime& rt, const Value&, const Arguments& a) {
  TextBuilder out(rt.budget);
  format_time(rt.budget, rt.now_iso, text_argument(rt, at(a, 0)), out);
  return make_string(std::move(out));
}

constexpr Builtin kFunctions[] = {
    {"range", "start stop? step?", range},    {"dict", "*", dict},
    {"namespace", "*", name_space},           {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
};

}  // namespace

const Builtin* find_function(std::string_view name) {
  for (const Builtin& row : kFunctions)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace kette::jinja
