// Regular expressions in ECMA-262's syntax -> expressions over bytes.
//
// Literals; escapes \t \n \v \f \r \0 \cX \xHH \uHHHH \u{H...} and of punctuation; . (anything but the line ends \n, \r,
// U+2028 and U+2029); \d \D \w \W \s \S; [classes] with ranges and ^; groups ( ), (?: ), (?<name> ), none of which is
// remembered; |; * + ? {m} {m,} {m,n}, also lazy, which is the same set of texts; ^ and $ at the ends of an alternative.
// Characters are code points. Refused by name: look-around, back references, \b \B, \p, flags, and anchors elsewhere.
#pragma once

#include <string_view>

#include "base/status.h"
#include "sample/expression.h"

namespace kette {

enum class RegexMatch {
  kWhole,     // the whole text matches
  kAnywhere,  // some of it does, as JSON schema's "pattern" has it
};
enum class RegexText {
  kPlain,
  kJsonString,  // the text as it stands between the quotes of a JSON string, each character written in one way
};

Result<Expression> parse_regex(RuleBuilder& builder, std::string_view source, RegexMatch match, RegexText text);

// One of the characters, or all of the text's, as a JSON string has them: escaped where they must be.
Expression json_characters(RuleBuilder& builder, std::vector<CodeRange> ranges);
Expression json_text(RuleBuilder& builder, std::string_view utf8);

}  // namespace kette
