// The methods of Python's strings, dicts and lists that a template may call.
#include <algorithm>
#include <array>
#include <span>

#include "chat/operators.h"
#include "chat/text_operations.h"

namespace kette::jinja {
namespace {

const Value& at(const Arguments& a, size_t i) { return a.positional[i]; }

// Python's optional start and end of find, count, startswith are not offered: templates do not use them.
bool matches(Runtime& rt, const Value& self, const Value& part, bool at_end) {
  const auto one = [&](const Value& v) {
    const std::string_view wanted = text_argument(rt, v).view();
    rt.budget.spend(wanted.size() / 64);
    return at_end ? self.view().ends_with(wanted) : self.view().starts_with(wanted);
  };
  if (!part.is(Kind::kList) || part.list().flavour != Flavour::kTuple) return one(part);
  for (const Value& v : part.list().items)
    if (rt.budget.ok() && one(v)) return true;
  return false;
}

Value find(Runtime& rt, const Value& self, const Value& part, bool last) {
  const std::string_view text = self.view();
  const std::string_view wanted = text_argument(rt, part).view();
  rt.budget.spend(text.size() / 16);
  const size_t found = last ? find_last(rt.budget, text, wanted) : find_text(text, wanted);
  return Value::integer(found == text.npos ? -1 : count_code_points(text.substr(0, found)));
}

int64_t count(Runtime& rt, const Value& self, const Value& part) {
  const std::string_view text = self.view();
  const std::string_view wanted = text_argument(rt, part).view();
  rt.budget.spend(text.size() / 16);
  if (wanted.empty()) return count_code_points(text) + 1;
  int64_t n = 0;
  for (size_t i = find_text(text, wanted); i != text.npos; i = find_text(text, wanted, i + wanted.size())) ++n;
  return n;
}

template <class Test>
Value every_character(Runtime& rt, const Value& self, Test&& test) {
  const std::string_view text = self.view();
  rt.budget.spend(text.size() / 16);
  for (size_t i = 0; i < text.size(); i += decode_at(text, i).length)
    if (!test(decode_at(text, i).value)) return Value::boolean(false);
  return Value::boolean(!text.empty());
}

Value remove_affix(Runtime& rt, const Value& self, const Value& affix, bool at_end) {
  const Text& part = text_argument(rt, affix);
  if (!matches(rt, self, affix, at_end)) return self;
  const size_t size = self.text().size();
  return at_end ? substring(rt, self.text(), 0, size - part.size()) : substring(rt, self.text(), part.size(), size);
}

Value join_strings(Runtime& rt, const Value& self, const Value& iterable) {
  const Value items = iterate(rt, iterable);
  if (!items.is(Kind::kList)) return Value::none();
  for (const Value& v : items.list().items) text_argument(rt, v);
  return rt.budget.ok() ? join(rt, self.text(), items.list().items) : Value::none();
}

constexpr Builtin kStringMethods[] = {
    {"strip", "chars?", [](auto& rt, auto& s, auto& a) { return strip(rt, s.text(), at(a, 0), true, true); }},
    {"lstrip", "chars?", [](auto& rt, auto& s, auto& a) { return strip(rt, s.text(), at(a, 0), true, false); }},
    {"rstrip", "chars?", [](auto& rt, auto& s, auto& a) { return strip(rt, s.text(), at(a, 0), false, true); }},
    {"split", "sep? maxsplit?",
     [](auto& rt, auto& s, auto& a) { return split(rt, s.text(), at(a, 0), integer_or(rt, at(a, 1), -1), false); }},
    {"rsplit", "sep? maxsplit?",
     [](auto& rt, auto& s, auto& a) { return split(rt, s.text(), at(a, 0), integer_or(rt, at(a, 1), -1), true); }},
    {"splitlines", "keepends?",
     [](auto& rt, auto& s, auto& a) {
       return make_list(rt.budget, split_lines(rt, s.text(), flag_or(at(a, 0), false)));
     }},
    {"startswith", "prefix",
     [](auto& rt, auto& s, auto& a) { return Value::boolean(matches(rt, s, at(a, 0), false)); }},
    {"endswith", "suffix", [](auto& rt, auto& s, auto& a) { return Value::boolean(matches(rt, s, at(a, 0), true)); }},
    {"upper", "", [](auto& rt, auto& s, auto&) { return change_case(rt, s.text(), Case::kUpper); }},
    {"lower", "", [](auto& rt, auto& s, auto&) { return change_case(rt, s.text(), Case::kLower); }},
    {"title", "", [](auto& rt, auto& s, auto&) { return change_case(rt, s.text(), Case::kTitle); }},
    {"capitalize", "", [](auto& rt, auto& s, auto&) { return change_case(rt, s.text(), Case::kCapitalize); }},
    {"replace", "old new count?",
     [](auto& rt, auto& s, auto& a) {
       return replace(rt, s.text(), text_argument(rt, at(a, 0)), text_argument(rt, at(a, 1)),
                      integer_or(rt, at(a, 2), -1));
     }},
    {"find", "sub", [](auto& rt, auto& s, auto& a) { return find(rt, s, at(a, 0), false); }},
    {"rfind", "sub", [](auto& rt, auto& s, auto& a) { return find(rt, s, at(a, 0), true); }},
    {"count", "sub", [](auto& rt, auto& s, auto& a) { return Value::integer(count(rt, s, at(a, 0))); }},
    {"join", "iterable", [](auto& rt, auto& s, auto& a) { return join_strings(rt, s, at(a, 0)); }},
    {"removeprefix", "prefix", [](auto& rt, auto& s, auto& a) { return remove_affix(rt, s, at(a, 0), false); }},
    {"removesuffix", "suffix", [](auto& rt, auto& s, auto& a) { return remove_affix(rt, s, at(a, 0), true); }},
    {"isspace", "", [](auto& rt, auto& s, auto&) { return every_character(rt, s, is_space); }},
    {"isdigit", "",  // ASCII digits; Python knows the digits of other scripts too
     [](auto& rt, auto& s, auto&) { return every_character(rt, s, [](uint32_t c) { return c >= '0' && c <= '9'; }); }},
};
constexpr std::string_view kRefusedOfStrings[] = {
    "casefold",    "center",     "encode",   "expandtabs", "format",       "format_map", "index",
    "isalnum",     "isalpha",    "isascii",  "isdecimal",  "isidentifier", "islower",    "isnumeric",
    "isprintable", "istitle",    "isupper",  "ljust",      "maketrans",    "partition",  "rindex",
    "rjust",       "rpartition", "swapcase", "translate",  "zfill"};

Value dict_part(Runtime& rt, const Dict& dict, bool keys, bool values) {
  std::vector<Value> parts;
  rt.budget.spend(dict.entries.size());
  for (const auto& [key, value] : dict.entries) {
    if (!rt.budget.ok()) break;
    if (keys && values) {
      parts.push_back(make_list(rt.budget, {key, value}, Flavour::kTuple));
    } else {
      parts.push_back(keys ? key : value);
    }
  }
  return make_list(rt.budget, std::move(parts), Flavour::kView);
}

Value dict_get(Runtime& rt, const Dict& dict, const Value& key, const Value& otherwise) {
  if (!key.is(Kind::kString)) rt.budget.spend(dict.entries.size() / 4);
  const Value* found = dict.find(key);
  if (found != nullptr) return *found;
  return otherwise.is_missing() ? Value::none() : otherwise;
}

constexpr Builtin kDictMethods[] = {
    {"items", "", [](auto& rt, auto& s, auto&) { return dict_part(rt, s.dict(), true, true); }},
    {"keys", "", [](auto& rt, auto& s, auto&) { return dict_part(rt, s.dict(), true, false); }},
    {"values", "", [](auto& rt, auto& s, auto&) { return dict_part(rt, s.dict(), false, true); }},
    {"get", "key default?", [](auto& rt, auto& s, auto& a) { return dict_get(rt, s.dict(), at(a, 0), at(a, 1)); }},
    {"copy", "", [](auto&, const Value& s, auto&) { return s; }},
};
constexpr std::string_view kRefusedOfDicts[] = {"clear", "fromkeys", "pop", "popitem", "setdefault", "update"};

Value list_index(Runtime& rt, const Value& self, const Value& wanted) {
  const auto& items = self.list().items;
  for (size_t i = 0; i < items.size() && rt.budget.ok(); ++i)
    if (equal(rt, items[i], wanted)) return Value::integer(static_cast<int64_t>(i));
  rt.budget.raise("the value is not in the {}", type_name(self));
  return Value::none();
}

Value list_count(Runtime& rt, const Value& self, const Value& wanted) {
  int64_t n = 0;
  for (const Value& v : self.list().items) n += rt.budget.ok() && equal(rt, v, wanted);
  return Value::integer(n);
}

constexpr Builtin kListMethods[] = {
    {"index", "value", [](auto& rt, auto& s, auto& a) { return list_index(rt, s, at(a, 0)); }},
    {"count", "value", [](auto& rt, auto& s, auto& a) { return list_count(rt, s, at(a, 0)); }},
    {"copy", "", [](auto&, const Value& s, auto&) { return s; }},
};
constexpr std::string_view kRefusedOfLists[] = {"append", "clear",  "extend",  "insert",
                                                "pop",    "remove", "reverse", "sort"};

Value cycle(Runtime& rt, const Value& self, const Arguments& a) {
  if (a.positional.empty() || !a.named.empty()) {
    rt.budget.raise("loop.cycle needs values to choose from");
    return Value::none();
  }
  const int64_t index = std::max<int64_t>(self.loop().index, 0);
  return a.positional[static_cast<size_t>(index) % a.positional.size()];
}

constexpr Builtin kLoopMethods[] = {{"cycle", "*", cycle}};

// One row for each refused name, made once per table at compile time.
template <size_t N>
constexpr std::array<Builtin, N> refused(const std::string_view (&names)[N]) {
  std::array<Builtin, N> rows{};
  for (size_t i = 0; i < N; ++i) rows[i] = {names[i], "-", nullptr};
  return rows;
}
constexpr auto kRefusedStringMethods = refused(kRefusedOfStrings);
constexpr auto kRefusedDictMethods = refused(kRefusedOfDicts);
constexpr auto kRefusedListMethods = refused(kRefusedOfLists);

const Builtin* find_in(std::span<const Builtin> rows, std::string_view name) {
  for (const Builtin& row : rows)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

const Builtin* find_method(const Value& self, std::string_view name) {
  std::span<const Builtin> rows;
  std::span<const Builtin> refused_rows;
  if (self.is(Kind::kString)) {
    rows = kStringMethods;
    refused_rows = kRefusedStringMethods;
  } else if (self.is(Kind::kDict)) {
    rows = kDictMethods;
    refused_rows = kRefusedDictMethods;
  } else if (self.is(Kind::kLoop)) {
    rows = kLoopMethods;
  } else if (self.is(Kind::kList) && self.list().flavour <= Flavour::kTuple) {
    const bool tuple = self.list().flavour == Flavour::kTuple;
    rows = std::span(kListMethods).first(tuple ? 2 : 3);
    if (!tuple) refused_rows = kRefusedListMethods;
  }
  const Builtin* found = find_in(rows, name);
  return found != nullptr ? found : find_in(refused_rows, name);
}

}  // namespace kette::jinja
