// Template source -> Program, in one pass over the tokens (the grammar is jinja2/parser.py's).
#pragma once

#include <string_view>

#include "base/status.h"
#include "chat/program.h"

namespace kette::jinja {

Result<Program> compile(std::string_view source);

}  // namespace kette::jinja
