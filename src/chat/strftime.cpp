#include "chat/strftime.h"

#include <algorithm>
#include <optional>
#include <string>

namespace kette::jinja {
namespace {

constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};

struct Clock {
  int year, month, day, hour, minute, second;

  int day_of_year() const {  // from 1
    static constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return kBefore[month - 1] + day + (leap && month > 2);
  }
  int weekday() const {  // 0 is Sunday; day 1 of year 1 was a Monday
    const int y = year - 1;
    return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year()) % 7;
  }
};

Clock read(std::string_view now) {
  const auto two = [&](size_t i) { return (now[i] - '0') * 10 + now[i + 1] - '0'; };
  return {two(0) * 100 + two(2), two(5), two(8), two(11), two(14), two(17)};
}

// `plain`: glibc's %-d, without the padding.
std::string padded(int value, int width, char fill, bool plain) {
  if (plain) return fmt::format("{}", value);
  return fill == '0' ? fmt::format("{:0{}}", value, width) : fmt::format("{:{}}", value, width);
}

// What one directive stands for; composite ones are formats themselves. Empty optional: unknown.
std::optional<std::string> directive(const Clock& t, char c, bool plain) {
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  switch (c) {
    case 'a': return std::string(kDays[t.weekday()].substr(0, 3));
    case 'A': return std::string(kDays[t.weekday()]);
    case 'b':
    case 'h': return std::string(kMonths[t.month - 1].substr(0, 3));
    case 'B': return std::string(kMonths[t.month - 1]);
    case 'c':
      return fmt::format("{} {} {:2} {:02}:{:02}:{:02} {}", kDays[t.weekday()].substr(0, 3),
                         kMonths[t.month - 1].substr(0, 3), t.day, t.hour, t.minute, t.second, t.year);
    case 'C': return padded(t.year / 100, 2, '0', plain);
    case 'd': return padded(t.day, 2, '0', plain);
    case 'D':
    case 'x': return fmt::format("{:02}/{:02}/{:02}", t.month, t.day, t.year % 100);
    case 'e': return padded(t.day, 2, ' ', plain);
    case 'f': return std::string("000000");
    case 'F': return fmt::format("{}-{:02}-{:02}", t.year, t.month, t.day);
    case 'H': return padded(t.hour, 2, '0', plain);
    case 'I': return padded(hour12, 2, '0', plain);
    case 'j': return padded(t.day_of_year(), 3, '0', plain);
    case 'k': return padded(t.hour, 2, ' ', plain);
    case 'l': return padded(hour12, 2, ' ', plain);
    case 'm': return padded(t.month, 2, '0', plain);
    case 'M': return padded(t.minute, 2, '0', plain);
    case 'n': return std::string("\n");
    case 'p': return std::string(t.hour < 12 ? "AM" : "PM");
    case 'r': return fmt::format("{:02}:{:02}:{:02} {}", hour12, t.minute, t.second, t.hour < 12 ? "AM" : "PM");
    case 'R': return fmt::format("{:02}:{:02}", t.hour, t.minute);
    case 'S': return padded(t.second, 2, '0', plain);
    case 't': return std::string("\t");
    case 'T':
    case 'X': return fmt::format("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    case 'u': return fmt::format("{}", t.weekday() == 0 ? 7 : t.weekday());
    case 'U': return padded((t.day_of_year() + 6 - t.weekday()) / 7, 2, '0', plain);
    case 'w': return fmt::format("{}", t.weekday());
    case 'W': return padded((t.day_of_year() + 6 - (t.weekday() + 6) % 7) / 7, 2, '0', plain);
    case 'y': return padded(t.year % 100, 2, '0', plain);
    case 'Y': return fmt::format("{}", t.year);
    case 'z':
    case 'Z': return std::string();  // the clock has no zone
    case '%': return std::string("%");
    default: return std::nullopt;
  }
}

}  // namespace

void format_time(Budget& budget, std::string_view now, const Text& format, TextBuilder& out) {
  const Clock clock = read(now);
  const std::string_view bytes = format.view();
  for (size_t i = 0; i < bytes.size() && budget.ok();) {
    const size_t mark = std::min(bytes.find('%', i), bytes.size());
    out.append(format, i, mark);
    if (mark == bytes.size()) return;
    const bool plain = bytes.substr(mark, 2) == "%-";
    const size_t at = mark + (plain ? 2 : 1);
    const std::optional<std::string> text = at < bytes.size() ? directive(clock, bytes[at], plain) : std::nullopt;
    if (!text) return budget.fail(Code::kUnsupported, "strftime_now: unknown directive in its format");
    out.append(*text, format.literal_at(mark));
    i = at + 1;
  }
}

}  // namespace kette::jinja
