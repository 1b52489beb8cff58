// GBNF, llama.cpp's notation for grammars -> rules.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "sample/grammar_tables.h"

namespace kette {

Result<std::unique_ptr<const GrammarTables>> compile_gbnf(std::string_view source);

}  // namespace kette
