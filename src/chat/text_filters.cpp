// Filters that make or change text.
#include <algorithm>

#include "chat/filters.h"
#include "chat/operators.h"
#include "chat/python_text.h"
#include "chat/text_operations.h"

namespace kette::jinja {
namespace {

const Value& at(const Arguments& a, size_t i) { return a.positional[i]; }

// f(text of str(value)); the value must be able to have one.
template <class F>
Value with_text(Runtime& rt, const Value& value, F&& f) {
  const Value text = to_string(rt, value);
  return text.is(Kind::kString) && rt.budget.ok() ? f(text.text()) : Value::none();
}

template <Case kTo>
Value case_filter(Runtime& rt, const Value& v, const Arguments&) {
  return with_text(rt, v, [&](const Text& text) { return change_case(rt, text, kTo); });
}

Value replace_filter(Runtime& rt, const Value& v, const Arguments& a) {
  const Value from = to_string(rt, at(a, 0));
  const Value to = to_string(rt, at(a, 1));
  const int64_t count = integer_or(rt, at(a, 2), -1);
  return with_text(rt, v, [&](const Text& text) { return replace(rt, text, from.text(), to.text(), count); });
}

// markupsafe.escape
Value escape(Runtime& rt, const Value& v, const Arguments&) {
  return with_text(rt, v, [&](const Text& text) {
    TextBuilder out(rt.budget);
    size_t kept = 0;
    for (size_t i = 0; i < text.size() && rt.budget.ok(); ++i) {
      const char c = text.view()[i];
      const std::string_view name = c == '&'    ? "&amp;"
                                    : c == '<'  ? "&lt;"
                                    : c == '>'  ? "&gt;"
                                    : c == '\'' ? "&#39;"
                                    : c == '"'  ? "&#34;"
                                                : "";
      if (name.empty()) continue;
      out.append(text, kept, i);
      out.append(name, text.literal_at(i));
      kept = i + 1;
    }
    out.append(text, kept, text.size());
    return make_string(std::move(out));
  });
}

Value indent_filter(Runtime& rt, const Value& v, const Arguments& a) {
  Text margin(std::string(4, ' '), true);
  if (at(a, 0).is(Kind::kString)) {
    margin = at(a, 0).text();
  } else if (!at(a, 0).is_missing()) {
    const int64_t width = std::max<int64_t>(integer_or(rt, at(a, 0), 4), 0);
    if (width > static_cast<int64_t>(kMaxOutput)) rt.budget.fail(Code::kBudget, "an indent of {}", width);
    if (!rt.budget.ok()) return Value::none();
    margin = Text(std::string(static_cast<size_t>(width), ' '), true);
  }
  return indent(rt, v, margin, flag_or(at(a, 1), false), flag_or(at(a, 2), false));
}

std::string separator(Runtime& rt, const Value& pair, size_t i) {
  return std::string(text_argument(rt, pair.list().items[i]).view());
}

// transformers.utils.chat_template_utils: json.dumps without HTML escapes.
Value tojson(Runtime& rt, const Value& v, const Arguments& a) {
  JsonStyle style;
  style.ensure_ascii = flag_or(at(a, 0), false);
  const Value& indent = at(a, 1);
  if (!indent.is_missing() && !indent.is_none()) {
    style.indented = true;
    style.item_separator = ",";
    if (indent.is(Kind::kString)) {
      style.indent = indent.view();
    } else {
      const int64_t width = integer_or(rt, indent, 0);
      if (width > 1000) rt.budget.fail(Code::kUnsupported, "tojson: an indent of {}", width);
      if (width > 0 && rt.budget.ok()) style.indent.assign(static_cast<size_t>(width), ' ');
    }
  }
  const Value& separators = at(a, 2);
  if (!separators.is_missing() && !separators.is_none()) {
    if (!separators.is(Kind::kList) || separators.list().items.size() != 2) {
      rt.budget.raise("tojson: separators must be a pair");
      return Value::none();
    }
    style.item_separator = separator(rt, separators, 0);
    style.key_separator = separator(rt, separators, 1);
  }
  style.sort_keys = flag_or(at(a, 3), false);
  TextBuilder out(rt.budget);
  write_json(rt, v, style, out);
  return make_string(std::move(out));
}

Value format(Runtime& rt, const Value& v, const Arguments& a) {
  Value values;
  if (a.named.empty()) {
    values = make_list(rt.budget, a.positional, Flavour::kTuple);
  } else {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [name, value] : a.named) entries.emplace_back(make_string(rt.budget, name, false), value);
    values = make_dict(rt.budget, std::move(entries));
    if (!a.positional.empty()) rt.budget.raise("format takes positional or keyword arguments, not both");
  }
  if (!rt.budget.ok()) return Value::none();
  return with_text(rt, v, [&](const Text& text) { return format_percent(rt, text, values); });
}

constexpr Builtin kFilters[] = {
    {"trim", "chars?",
     [](Runtime& rt, const Value& v, const Arguments& a) {
       return with_text(rt, v, [&](const Text& text) { return strip(rt, text, at(a, 0), true, true); });
     }},
    {"upper", "", case_filter<Case::kUpper>},
    {"lower", "", case_filter<Case::kLower>},
    {"capitalize", "", case_filter<Case::kCapitalize>},
    {"title", "", case_filter<Case::kJinjaTitle>},
    {"replace", "old new count?", replace_filter},
    {"string", "", [](Runtime& rt, const Value& v, const Arguments&) { return to_string(rt, v); }},
    {"safe", "", [](Runtime& rt, const Value& v, const Arguments&) { return to_string(rt, v); }},
    {"escape", "", escape},
    {"e", "", escape},
    {"forceescape", "", escape},
    {"indent", "width? first? blank?", indent_filter},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", tojson},
    {"format", "*", format},
};

}  // namespace

std::span<const Builtin> text_filters() { return kFilters; }

const Builtin* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), number_filters(), sequence_filters(), selecting_filters()})
    for (const Builtin& row : table)
      if (row.name == name) return &row;
  return nullptr;
}

}  // namespace kette::jinja
