#include "sample/json_format.h"

#include <fmt/format.h>

namespace kette {
namespace {

// Days that exist: of long and short months, of February, and the 29th of leap years.
constexpr std::string_view kDate =
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
    "02-(?:0[1-9]|1[0-9]|2[0-8]))|"
    "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)";
constexpr std::string_view kTime =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[-+](?:[01][0-9]|2[0-3]):[0-5][0-9])";
constexpr std::string_view kOctet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

std::string duration() {
  const auto chain = [](std::string_view units) {  // each unit may be followed by the next smaller ones alone
    std::string rest, any;
    for (size_t i = units.size(); i-- > 0;) {
      const std::string one = fmt::format("[0-9]{{1,9}}{}{}", units[i], rest);
      any += (any.empty() ? "" : "|") + one;
      rest = fmt::format("(?:{})?", one);
    }
    return fmt::format("(?:{})", any);
  };
  const std::string time = "T" + chain("HMS");
  return fmt::format("P(?:[0-9]{{1,9}}W|{}(?:{})?|{})", chain("YMD"), time, time);
}

// Eight groups, or fewer with one "::" for the groups that are zero.
std::string ipv6() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  std::string out = fmt::format("{0}(?::{0}){{7}}", group);
  for (int before = 0; before <= 7; ++before) {
    out += "|";
    if (before > 0) out += fmt::format("{0}(?::{0}){{{1}}}", group, before - 1);
    out += "::";
    if (before < 7) out += fmt::format("(?:{0}(?::{0}){{0,{1}}})?", group, 6 - before);
  }
  return fmt::format("(?:{})", out);
}

// Letters, digits and inner hyphens in labels; never more than 253 characters: few long labels, or more short ones.
std::string hostname(int least_dots) {
  const auto labels = [&](int characters, int most) {
    const std::string label = fmt::format("[A-Za-z0-9](?:[-A-Za-z0-9]{{0,{}}}[A-Za-z0-9])?", characters - 2);
    return fmt::format("{0}(?:\\.{0}){{{1},{2}}}", label, least_dots, most - 1);
  };
  return fmt::format("(?:{}|{})", labels(62, 4), labels(30, 8));
}

// At most 64 characters before the @.
std::string email() {
  const std::string_view character = "[-A-Za-z0-9!#$%&'*+/=?^_`{|}~]";
  return fmt::format("(?:{0}{{1,64}}|{0}{{1,20}}(?:\\.{0}{{1,20}}){{1,2}})@{1}", character, hostname(1));
}

std::string uri() {
  const std::string character = "(?:[-A-Za-z0-9._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})";
  const std::string host = "(?:[-A-Za-z0-9._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+";
  return fmt::format(
      "[A-Za-z][-A-Za-z0-9+.]*:(?://{1}(?::[0-9]{{1,5}})?(?:/{0}*)*|{0}+(?:/{0}*)*)(?:\\?(?:{0}|[/?])*)?(?:#(?:{0}|[/"
      "?])*)?",
      character, host);
}

}  // namespace

std::optional<std::string> regex_of_format(std::string_view name) {
  if (name == "date") return std::string(kDate);
  if (name == "time") return std::string(kTime);
  if (name == "date-time") return fmt::format("{}T{}", kDate, kTime);
  if (name == "duration") return duration();
  if (name == "uuid") return "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
  if (name == "email") return email();
  if (name == "hostname") return hostname(0);
  if (name == "ipv4") return fmt::format("{0}(?:\\.{0}){{3}}", kOctet);
  if (name == "ipv6") return ipv6();
  if (name == "uri") return uri();
  return std::nullopt;
}

}  // namespace kette
