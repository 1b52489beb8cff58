// Reaching into values: attributes, items, slices, iteration, length.
#include <algorithm>

#include "chat/operators.h"

namespace kette::jinja {
namespace {

Value loop_attribute(Runtime& rt, const Loop& loop, std::string_view name, uint32_t name_id) {
  const std::vector<Value>& items = loop.items.list().items;
  const auto size = static_cast<int64_t>(items.size());
  const auto neighbour = [&](int64_t i) {
    return i >= 0 && i < size ? items[static_cast<size_t>(i)] : Value::undefined(name_id);
  };
  if (name == "index") return Value::integer(loop.index + 1);
  if (name == "index0") return Value::integer(loop.index);
  if (name == "revindex") return Value::integer(size - loop.index);
  if (name == "revindex0") return Value::integer(size - loop.index - 1);
  if (name == "first") return Value::boolean(loop.index == 0);
  if (name == "last") return Value::boolean(loop.index == size - 1);
  if (name == "length") return Value::integer(size);
  if (name == "depth") return Value::integer(1);  // only recursive loops, which are not supported, go deeper
  if (name == "depth0") return Value::integer(0);
  if (name == "previtem") return neighbour(loop.index - 1);
  if (name == "nextitem") return neighbour(loop.index + 1);
  if (name == "changed") rt.budget.fail(Code::kUnsupported, "loop.changed is not supported");
  return Value::undefined(name_id);
}

// Clamps like Python's slice.indices. Fills the offsets that obj[start:stop:step] takes, in order.
struct Range {
  int64_t start, step, count;
};
Range slice_range(Runtime& rt, int64_t size, const Value& start, const Value& stop, const Value& step_value) {
  for (const Value* v : {&start, &stop, &step_value})
    if (!v->is_none() && !v->is_integer()) {
      rt.budget.raise("slice indices must be integers or none, found {}", type_name(*v));
      return {0, 1, 0};
    }
  const int64_t step = step_value.is_none() ? 1 : step_value.integer();
  if (step == 0) rt.budget.raise("a slice step cannot be zero");
  if (step == 0) return {0, 1, 0};
  const int64_t low = step < 0 ? -1 : 0;
  const int64_t high = step < 0 ? size - 1 : size;
  const auto clamp = [&](const Value& v, int64_t otherwise) {
    if (v.is_none()) return otherwise;
    const int64_t i = v.integer();
    if (i < 0) return i < -size ? low : std::max(i + size, low);
    return std::min(i, high);
  };
  const int64_t first = clamp(start, step < 0 ? high : low);
  const int64_t last = clamp(stop, step < 0 ? low : high);
  if (step > 0) return {first, step, first < last ? (last - first - 1) / step + 1 : 0};
  // -step may overflow, and nothing is further apart than `size`.
  const int64_t down = step < -size ? size + 1 : -step;
  return {first, -down, last < first ? (first - last - 1) / down + 1 : 0};
}

size_t offset_of(const String& string, int64_t character) {
  const std::string_view bytes = string.text.view();
  if (string.length == static_cast<int64_t>(bytes.size())) return static_cast<size_t>(character);  // all ASCII
  size_t offset = 0;
  for (; character > 0 && offset < bytes.size(); --character) offset += decode_at(bytes, offset).length;
  return std::min(offset, bytes.size());
}

Value slice_string(Runtime& rt, String& string, const Range& range) {
  const Text& text = string.text;
  rt.budget.spend(text.size() / 64);
  TextBuilder out(rt.budget);
  if (range.count > 0 && range.step == 1) {
    out.append(text, offset_of(string, range.start), offset_of(string, range.start + range.count));
  } else if (range.count > 0) {
    std::vector<uint32_t> starts;  // of every character, and the end
    for (size_t i = 0; i < text.size(); i += decode_at(text.view(), i).length)
      starts.push_back(static_cast<uint32_t>(i));
    starts.push_back(static_cast<uint32_t>(text.size()));
    for (int64_t n = 0; n < range.count && rt.budget.ok(); ++n) {
      const auto at = static_cast<size_t>(range.start + n * range.step);
      out.append(text, starts[at], starts[at + 1]);
    }
  }
  return make_string(std::move(out));
}

Value list_item(const List& list, int64_t index) {
  const auto size = static_cast<int64_t>(list.items.size());
  if (index < 0 && index >= -size) index += size;
  return index >= 0 && index < size ? list.items[static_cast<size_t>(index)] : Value::undefined();
}

bool subscriptable(const List& list) { return list.flavour <= Flavour::kRange; }

Value method_or_undefined(Runtime& rt, const Value& object, std::string_view name, uint32_t name_id) {
  if (name.starts_with("__") && name.ends_with("__") && name.size() > 4) {
    rt.budget.raise("access to attribute '{}' is unsafe", excerpt(name, 60));
    return Value::none();
  }
  const Builtin* row = find_method(object, name);
  return row == nullptr ? Value::undefined(name_id) : make_method(rt.budget, object, row);
}

}  // namespace

// Jinja: the Python attribute first (here: methods), then the item of that name.
Value attribute(Runtime& rt, const Value& object, std::string_view name, uint32_t name_id) {
  switch (object.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined: fail_undefined(rt, object); return Value::none();
    case Kind::kNamespace: {
      rt.budget.spend(object.name_space().attributes.size() / 8);
      const Value* found = object.name_space().find(name);
      return found == nullptr ? Value::undefined(name_id) : *found;
    }
    case Kind::kLoop:
      if (name != "cycle") return loop_attribute(rt, object.loop(), name, name_id);
      return method_or_undefined(rt, object, name, name_id);
    case Kind::kMacro:
      if (name == "name") return make_string(rt.budget, rt.name(rt.program.macros[object.macro().id].name), true);
      return Value::undefined(name_id);
    case Kind::kDict: {
      if (const Builtin* row = find_method(object, name)) return make_method(rt.budget, object, row);
      if (const Value* found = object.dict().find(name)) return *found;
      return method_or_undefined(rt, object, name, name_id);
    }
    default: return method_or_undefined(rt, object, name, name_id);
  }
}

// Jinja: the item first, then for string keys the attribute.
Value item(Runtime& rt, const Value& object, const Value& key) {
  if (object.is_undefined()) {
    fail_undefined(rt, object);
    return Value::none();
  }
  if (object.is(Kind::kDict)) {
    if (!key.is(Kind::kString)) rt.budget.spend(object.dict().entries.size() / 4);
    if (const Value* found = object.dict().find(key)) return *found;
  } else if (object.is(Kind::kList) && subscriptable(object.list()) && key.is_integer()) {
    return list_item(object.list(), key.integer());
  } else if (object.is(Kind::kString) && key.is_integer()) {
    const int64_t size = length_in_characters(object.string());
    const int64_t index = key.integer() < 0 && key.integer() >= -size ? key.integer() + size : key.integer();
    if (index < 0 || index >= size) return Value::undefined();
    return slice_string(rt, object.string(), {index, 1, 1});
  }
  if (!key.is(Kind::kString)) return Value::undefined();
  if (object.is(Kind::kDict)) return method_or_undefined(rt, object, key.view(), kNoName);
  return attribute(rt, object, key.view(), kNoName);
}

Value slice(Runtime& rt, const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is(Kind::kString)) {
    const int64_t size = length_in_characters(object.string());
    return slice_string(rt, object.string(), slice_range(rt, size, start, stop, step));
  }
  if (object.is(Kind::kList) && subscriptable(object.list())) {
    const List& list = object.list();
    const Range range = slice_range(rt, static_cast<int64_t>(list.items.size()), start, stop, step);
    rt.budget.spend(static_cast<uint64_t>(range.count));
    std::vector<Value> items;
    for (int64_t n = 0; n < range.count && rt.budget.ok(); ++n)
      items.push_back(list.items[static_cast<size_t>(range.start + n * range.step)]);
    return make_list(rt.budget, std::move(items), list.flavour);
  }
  if (object.is_undefined()) {
    fail_undefined(rt, object);
  } else {
    rt.budget.raise("a {} cannot be sliced", type_name(object));
  }
  return Value::none();
}

Value iterate(Runtime& rt, const Value& iterable) {
  std::vector<Value> items;
  switch (iterable.kind()) {
    case Kind::kList: {
      List& list = iterable.list();
      if (list.flavour != Flavour::kGenerator) return iterable;
      items.assign(list.items.begin() + static_cast<ptrdiff_t>(list.next), list.items.end());
      list.next = list.items.size();
      break;
    }
    case Kind::kUndefined: break;
    case Kind::kDict:
      for (const auto& entry : iterable.dict().entries) items.push_back(entry.first);
      break;
    case Kind::kString: {
      const Text& text = iterable.text();
      for (size_t i = 0; i < text.size() && rt.budget.ok();) {
        const size_t end = i + decode_at(text.view(), i).length;
        TextBuilder character(rt.budget);
        character.append(text, i, end);
        items.push_back(make_string(std::move(character)));
        i = end;
      }
      break;
    }
    default: rt.budget.raise("a {} is not iterable", type_name(iterable)); break;
  }
  rt.budget.spend(items.size());
  return make_list(rt.budget, std::move(items));
}

int64_t length(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return 0;
    case Kind::kString: return length_in_characters(value.string());
    case Kind::kDict: return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kLoop: return length(rt, value.loop().items);
    case Kind::kList:
      if (value.list().flavour != Flavour::kGenerator) return static_cast<int64_t>(value.list().items.size());
      [[fallthrough]];
    default: rt.budget.raise("a {} has no length", type_name(value)); return 0;
  }
}

}  // namespace kette::jinja
