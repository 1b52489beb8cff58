// datetime.strftime in the C locale, for a clock that the caller gives.
#pragma once

#include <string_view>

#include "chat/text.h"

namespace kette::jinja {

// now: "YYYY-MM-DDTHH:MM:SS", valid. Numbers and names keep the provenance of their directive.
void format_time(Budget& budget, std::string_view now, const Text& format, TextBuilder& out);

}  // namespace kette::jinja
