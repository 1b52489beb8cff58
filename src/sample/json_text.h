// The parts of JSON texts as expressions: what all schemas share. json_schema.h tells what they allow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "sample/expression.h"

namespace kette {

// Rules are made when they are first asked for.
class JsonText {
 public:
  explicit JsonText(RuleBuilder& builder) : builder_(builder) {}

  Expression space();
  Expression value();  // anything
  Expression object();
  Expression array();
  Expression string();
  Expression number();
  Expression integer();
  Expression boolean();
  Expression null();
  Expression character();  // of a string, in any of its spellings

  // "{" or "[", the members with `space` around, and the closing bracket. `members` has at least one.
  Expression enclosed(std::string_view open, Expression members, bool may_be_empty, std::string_view close);
  Expression comma();  // and the space behind it
  Expression colon();

 private:
  // Calls the rule; makes it of what `define` gives at the first time.
  template <class F>
  Expression shared(std::optional<uint32_t>& rule, const char* name, F define);
  Expression regex(std::string_view source);

  RuleBuilder& builder_;
  std::optional<uint32_t> space_, value_, object_, array_, string_, number_, integer_, character_;
};

}  // namespace kette
