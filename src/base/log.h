// Where the library's messages go: a host callback, or nowhere. Nothing is ever printed.
#pragma once

#include <functional>
#include <string_view>

namespace kette {

enum class LogLevel : int { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

using LogSink = std::function<void(LogLevel, std::string_view component, std::string_view message)>;

}  // namespace kette
