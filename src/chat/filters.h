// The tables of filters, by what they work on.
#pragma once

#include <span>

#include "chat/runtime.h"

namespace kette::jinja {

std::span<const Builtin> text_filters();
std::span<const Builtin> number_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> selecting_filters();

// jinja2.filters.make_attrgetter: "a.0.b" or an index, one item after the other. None as path: the value itself.
Value follow_path(Runtime& rt, Value value, const Value& path, const Value& otherwise);

}  // namespace kette::jinja
