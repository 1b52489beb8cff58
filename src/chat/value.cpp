#include "chat/value.h"

#include <algorithm>
#include <cmath>

namespace kette::jinja {

// Out of line: inlined into every copy's end it is much code, in which GCC 12 sees objects at the addresses of booleans.
void Value::drop(Object* object) {
  if (--object->refs == 0) delete object;
}

namespace {

constexpr size_t kIndexedFrom = 8;  // entries; below, a linear search is as good

// Order of dict keys: none, numbers by value (True is 1 is 1.0, as in Python), then strings.
int key_class(const Value& key) {
  if (key.is_none()) return 0;
  if (key.is_number()) return std::isnan(key.real()) ? 3 : 1;
  return key.is(Kind::kString) ? 2 : 3;
}

int compare_keys(const Value& a, const Value& b) {
  const int class_a = key_class(a);
  const int class_b = key_class(b);
  if (class_a != class_b) return class_a < class_b ? -1 : 1;
  if (class_a == 2) return a.view().compare(b.view());
  if (class_a != 1) return 0;
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  return a.real() < b.real() ? -1 : a.real() > b.real();
}

template <class T>
T* allocate(Budget& budget, size_t extra) {
  const size_t bytes = sizeof(T) + extra;
  if (!budget.charge(bytes)) return nullptr;
  T* object = new T(budget);
  object->charged = bytes;
  return object;
}

// False, and failed, when a value below `depth` levels would be too deep to walk.
bool depth_ok(Budget& budget, int depth) {
  if (depth <= kMaxNesting) return true;
  budget.fail(Code::kBudget, "values are nested deeper than {}", kMaxNesting);
  return false;
}

}  // namespace

const Value* Dict::find(std::string_view key) const {
  if (sorted.empty()) {
    for (const auto& [k, v] : entries)
      if (k.is(Kind::kString) && k.view() == key) return &v;
    return nullptr;
  }
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), key, [&](uint32_t i, std::string_view wanted) {
    const Value& k = entries[i].first;
    return !k.is(Kind::kString) || k.view() < wanted;
  });
  if (at == sorted.end() || entries[*at].first.view() != key) return nullptr;
  return &entries[*at].second;
}

const Value* Dict::find(const Value& key) const {
  if (key.is(Kind::kString)) return find(key.view());
  for (const auto& [k, v] : entries)
    if (key_class(key) < 3 && compare_keys(k, key) == 0) return &v;
  return nullptr;
}

Value* Namespace::find(std::string_view name) {
  for (auto& [key, value] : attributes)
    if (key == name) return &value;
  return nullptr;
}

Value make_string(Budget& budget, Text text) {
  String* s = allocate<String>(budget, text.size() + text.cuts() * sizeof(uint32_t));
  if (s == nullptr) return Value::none();
  s->text = std::move(text);
  return Value(Kind::kString, s);
}

Value make_string(Budget& budget, std::string_view bytes, bool literal) {
  return make_string(budget, Text(std::string(bytes), literal));
}

Value make_string(TextBuilder&& builder) {
  Budget& budget = builder.budget();
  return make_string(budget, builder.take());
}

Value make_big_integer(Budget& budget, std::string_view digits) {
  String* s = allocate<String>(budget, digits.size());
  if (s == nullptr) return Value::none();
  s->text = Text(std::string(digits), true);
  return Value(Kind::kBigInt, s);
}

Value make_list(Budget& budget, std::vector<Value> items, Flavour flavour) {
  budget.spend(items.size() / 8);
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  if (!depth_ok(budget, depth + 1)) return Value::none();
  List* list = allocate<List>(budget, items.size() * sizeof(Value));
  if (list == nullptr) return Value::none();
  list->items = std::move(items);
  list->flavour = flavour;
  list->depth = depth + 1;
  return Value(Kind::kList, list);
}

Value make_dict(Budget& budget, std::vector<std::pair<Value, Value>> entries) {
  budget.spend(entries.size() / 4);
  int depth = 0;
  for (const auto& [key, value] : entries) {
    if (key_class(key) == 3) budget.raise("a {} cannot be the key of a dict here", type_name(key));
    depth = std::max(depth, value.depth());
  }
  if (!budget.ok() || !depth_ok(budget, depth + 1)) return Value::none();
  std::vector<uint32_t> sorted(entries.size());
  for (size_t i = 0; i < sorted.size(); ++i) sorted[i] = static_cast<uint32_t>(i);
  const auto order = [&](uint32_t a, uint32_t b) { return compare_keys(entries[a].first, entries[b].first) < 0; };
  std::stable_sort(sorted.begin(), sorted.end(), order);
  bool repeated = false;
  for (size_t i = 1, first = 0; i < sorted.size(); ++i) {
    if (order(sorted[first], sorted[i])) {
      first = i;
    } else {
      entries[sorted[first]].second = entries[sorted[i]].second;
      entries[sorted[i]].first = Value();  // marked; a key is never missing
      repeated = true;
    }
  }
  if (repeated) {
    std::erase_if(entries, [](const auto& entry) { return entry.first.is_missing(); });
    return make_dict(budget, std::move(entries));
  }
  if (entries.size() <= kIndexedFrom) sorted.clear();
  Dict* dict = allocate<Dict>(budget, entries.size() * sizeof(entries[0]) + sorted.size() * sizeof(uint32_t));
  if (dict == nullptr) return Value::none();
  dict->entries = std::move(entries);
  dict->sorted = std::move(sorted);
  dict->depth = depth + 1;
  return Value(Kind::kDict, dict);
}

Value make_method(Budget& budget, Value self, const Builtin* row) {
  if (!depth_ok(budget, self.depth() + 1)) return Value::none();
  Method* method = allocate<Method>(budget, 0);
  if (method == nullptr) return Value::none();
  method->depth = self.depth() + 1;
  method->self = std::move(self);
  method->row = row;
  return Value(Kind::kMethod, method);
}

Value make_loop(Budget& budget, Value items) {
  if (!depth_ok(budget, items.depth() + 1)) return Value::none();
  Loop* loop = allocate<Loop>(budget, 0);
  if (loop == nullptr) return Value::none();
  loop->depth = items.depth() + 1;
  loop->items = std::move(items);
  return Value(Kind::kLoop, loop);
}

Value make_macro(Budget& budget, uint32_t id, size_t scope, uint64_t serial) {
  Macro* macro = allocate<Macro>(budget, 0);
  if (macro == nullptr) return Value::none();
  macro->id = id;
  macro->scope = scope;
  macro->serial = serial;
  return Value(Kind::kMacro, macro);
}

bool can_be_key(const Value& value) { return key_class(value) < 3; }
bool key_less(const Value& a, const Value& b) { return compare_keys(a, b) < 0; }

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool:
    case Kind::kInt: return value.integer() != 0;
    case Kind::kFloat: return value.real() != 0;
    case Kind::kString: return value.text().size() != 0;
    case Kind::kList: return value.list().flavour == Flavour::kGenerator || !value.list().items.empty();
    case Kind::kDict: return !value.dict().entries.empty();
    default: return true;
  }
}

const char* type_name(const Value& value) {
  static constexpr const char* kFlavours[] = {"list", "tuple", "range", "view", "generator"};
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined: return "undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt:
    case Kind::kBigInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kString: return "str";
    case Kind::kList: return kFlavours[static_cast<size_t>(value.list().flavour)];
    case Kind::kDict: return "dict";
    case Kind::kFunction: return "function";
    case Kind::kMethod: return "method";
    case Kind::kNamespace: return "namespace";
    case Kind::kLoop: return "loop";
    case Kind::kMacro: return "macro";
  }
  return "value";
}

int64_t length_in_characters(String& string) {
  if (string.length < 0) string.length = count_code_points(string.text.view());
  return string.length;
}

}  // namespace kette::jinja
