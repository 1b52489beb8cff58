// A model's hyper-parameters under their config.json keys, read with ranges so that no file value
// reaches a division, a loop bound or an allocation unchecked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace kette {

class Config {
 public:
  using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                             std::vector<std::string>>;

  // Nested keys are flattened with a dot: "rope_scaling.factor". Absent or null keys are not stored.
  void set(std::string key, Value value) { values_.insert_or_assign(std::move(key), std::move(value)); }
  bool has(std::string_view key) const { return values_.find(key) != values_.end(); }

  // The value of a key, which must be present (unless a fallback is given), of that kind, and in [low, high].
  // The error names the key, the range expected and the value found.
  Result<int64_t> integer(std::string_view key, int64_t low, int64_t high,
                          std::optional<int64_t> fallback = std::nullopt) const;
  Result<double> real(std::string_view key, double low, double high,
                      std::optional<double> fallback = std::nullopt) const;  // an integer converts
  Result<bool> boolean(std::string_view key, std::optional<bool> fallback = std::nullopt) const;
  Result<std::string> string(std::string_view key, std::optional<std::string> fallback = std::nullopt) const;
  Result<std::vector<int64_t>> integers(std::string_view key) const;  // a single integer is a list of one
  Result<std::vector<double>> reals(std::string_view key) const;
  Result<std::vector<std::string>> strings(std::string_view key) const;  // a single string is a list of one

  // Copies of all entries whose key begins with `prefix`.
  std::vector<std::pair<std::string, Value>> under(std::string_view prefix) const;

 private:
  const Value* value(std::string_view key) const;  // nullptr if absent

  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace kette
