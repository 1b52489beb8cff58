// Python's operators on values, and Jinja's ways into them (jinja2.sandbox.ImmutableSandboxedEnvironment).
#pragma once

#include "chat/runtime.h"

namespace kette::jinja {

Value unary(Runtime& rt, Op op, const Value& x);                             // kNot, kNegative, kPositive
Value binary(Runtime& rt, Op op, const Value& x, const Value& y);            // kAdd ... kPower
Value compare(Runtime& rt, Op op, const Value& x, const Value& y);           // kEqual ... kNotIn
Value format_percent(Runtime& rt, const Text& format, const Value& values);  // format % values

bool equal(Runtime& rt, const Value& x, const Value& y);
int order(Runtime& rt, const Value& x, const Value& y);  // <0, 0, >0; fails for types Python does not order
bool contains(Runtime& rt, const Value& container, const Value& x);

Value attribute(Runtime& rt, const Value& object, std::string_view name, uint32_t name_id);  // object.name
Value item(Runtime& rt, const Value& object, const Value& key);                              // object[key]
Value slice(Runtime& rt, const Value& object, const Value& start, const Value& stop, const Value& step);

Value iterate(Runtime& rt, const Value& iterable);     // the items, as a list; takes a generator's items
int64_t length(Runtime& rt, const Value& value);       // len(value)
void fail_undefined(Runtime& rt, const Value& value);  // "'x' is undefined"

}  // namespace kette::jinja
