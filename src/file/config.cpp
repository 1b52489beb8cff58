#include "file/config.h"

#include <cmath>

#include "file/printable.h"

namespace kette {
namespace {

using Value = Config::Value;

std::string found(const Value& value) {
  struct Text {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(const std::string& v) const { return '"' + printable(v, 32) + '"'; }
    std::string operator()(const std::vector<int64_t>& v) const { return list(v.size(), "integers"); }
    std::string operator()(const std::vector<double>& v) const { return list(v.size(), "numbers"); }
    std::string operator()(const std::vector<std::string>& v) const { return list(v.size(), "strings"); }
    static std::string list(size_t n, std::string_view what) { return fmt::format("a list of {} {}", n, what); }
  };
  return std::visit(Text{}, value);
}

Status missing(std::string_view key, std::string_view expected) {
  return error(Code::kCorrupt, "{}: missing, expected {}", printable(key), expected);
}

Status unexpected(std::string_view key, const Value& value, std::string_view expected) {
  return error(Code::kCorrupt, "{}: {}, expected {}", printable(key), found(value), expected);
}

}  // namespace

const Config::Value* Config::value(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

Result<int64_t> Config::integer(std::string_view key, int64_t low, int64_t high,
                                std::optional<int64_t> fallback) const {
  const Value* v = value(key);
  if (v == nullptr && fallback) return *fallback;
  const auto* n = std::get_if<int64_t>(v);
  if (n != nullptr && *n >= low && *n <= high) return *n;
  const std::string expected = fmt::format("an integer from {} to {}", low, high);
  return v == nullptr ? missing(key, expected) : unexpected(key, *v, expected);
}

Result<double> Config::real(std::string_view key, double low, double high, std::optional<double> fallback) const {
  const Value* v = value(key);
  if (v == nullptr && fallback) return *fallback;
  double x = std::nan("");
  if (const auto* n = std::get_if<int64_t>(v)) x = static_cast<double>(*n);
  if (const auto* d = std::get_if<double>(v)) x = *d;
  if (std::isfinite(x) && x >= low && x <= high) return x;
  const std::string expected = fmt::format("a number from {} to {}", low, high);
  return v == nullptr ? missing(key, expected) : unexpected(key, *v, expected);
}

Result<bool> Config::boolean(std::string_view key, std::optional<bool> fallback) const {
  const Value* v = value(key);
  if (v == nullptr && fallback) return *fallback;
  if (const auto* b = std::get_if<bool>(v)) return *b;
  return v == nullptr ? missing(key, "true or false") : unexpected(key, *v, "true or false");
}

Result<std::string> Config::string(std::string_view key, std::optional<std::string> fallback) const {
  const Value* v = value(key);
  if (v == nullptr && fallback) return *std::move(fallback);
  if (const auto* s = std::get_if<std::string>(v)) return *s;
  return v == nullptr ? missing(key, "a string") : unexpected(key, *v, "a string");
}

Result<std::vector<int64_t>> Config::integers(std::string_view key) const {
  const Value* v = value(key);
  if (const auto* list = std::get_if<std::vector<int64_t>>(v)) return *list;
  if (const auto* n = std::get_if<int64_t>(v)) return std::vector<int64_t>{*n};
  return v == nullptr ? missing(key, "integers") : unexpected(key, *v, "integers");
}

Result<std::vector<double>> Config::reals(std::string_view key) const {
  const Value* v = value(key);
  std::vector<double> out;
  if (const auto* reals = std::get_if<std::vector<double>>(v))
    out = *reals;
  else if (const auto* integers = std::get_if<std::vector<int64_t>>(v))
    out.assign(integers->begin(), integers->end());
  else if (const auto* d = std::get_if<double>(v))
    out = {*d};
  else if (const auto* n = std::get_if<int64_t>(v))
    out = {static_cast<double>(*n)};
  else
    return v == nullptr ? missing(key, "numbers") : unexpected(key, *v, "numbers");
  for (size_t i = 0; i < out.size(); ++i) {
    if (!std::isfinite(out[i])) {
      return error(Code::kCorrupt, "{}[{}]: {}, expected a finite number", printable(key), i, out[i]);
    }
  }
  return out;
}

Result<std::vector<std::string>> Config::strings(std::string_view key) const {
  const Value* v = value(key);
  if (const auto* list = std::get_if<std::vector<std::string>>(v)) return *list;
  if (const auto* s = std::get_if<std::string>(v)) return std::vector<std::string>{*s};
  return v == nullptr ? missing(key, "strings") : unexpected(key, *v, "strings");
}

std::vector<std::pair<std::string, Config::Value>> Config::under(std::string_view prefix) const {
  std::vector<std::pair<std::string, Value>> out;
  for (auto it = values_.lower_bound(prefix); it != values_.end() && it->first.starts_with(prefix); ++it)
    out.emplace_back(it->first, it->second);
  return out;
}

}  // namespace kette
