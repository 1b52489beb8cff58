// Numbers between bounds -> the expression of their decimal digits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "sample/expression.h"

namespace kette {

// Exact, as digits: neither part has more zeros than it needs.
struct Decimal {
  bool negative = false;
  std::string before = "0", after;

  bool is_zero() const { return before == "0" && after.empty(); }
  // A JSON number. kUnsupported beyond 64 digits before or 32 after the point.
  static Result<Decimal> parse(std::string_view number);
};

struct NumberRange {
  std::optional<Decimal> least, most;
  bool above = false, below = false;  // the bounds themselves are left out
  uint32_t decimals = 32;             // digits after the point, at most
};

// cost: of the automata that it takes on the way.
Result<Expression> json_number_between(RuleBuilder& builder, const NumberRange& range,
                                       std::shared_ptr<AutomatonCost> cost);

}  // namespace kette
