// JSON text -> values, depth-limited and charged; all strings are data, never literal.
#pragma once

#include <string_view>

#include "chat/value.h"

namespace kette::jinja {

// `what` names the text in messages. Fails the budget and gives none where the text is not JSON.
Value parse_json(Budget& budget, std::string_view what, std::string_view json);

}  // namespace kette::jinja
