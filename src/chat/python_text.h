// Values as text, byte for byte as Python writes them.
#pragma once

#include <string>

#include "chat/runtime.h"

namespace kette::jinja {

void write_str(Runtime& rt, const Value& value, TextBuilder& out);   // str(value)
void write_repr(Runtime& rt, const Value& value, TextBuilder& out);  // repr(value)
std::string float_repr(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
void write_json(Runtime& rt, const Value& value, const JsonStyle& style, TextBuilder& out);  // json.dumps(value)

// The value as a string value: itself, or str(value).
Value to_string(Runtime& rt, const Value& value);

}  // namespace kette::jinja
