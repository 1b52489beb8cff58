// Numbers.
#include <algorithm>

#include "sample/json_format.h"
#include "sample/json_number.h"
#include "sample/json_schema_compiler.h"

namespace kette {

Result<Expression> SchemaCompiler::number(const Json& s, bool integer, const std::string& path) {
  NumberRange range;
  range.decimals = integer ? 0 : 32;
  bool bounded = false;
  const auto bound = [&](const char* key, const char* exclusive_key, std::optional<Decimal>& at, bool& left_out,
                         bool upper) -> Status {
    for (const char* k : {key, exclusive_key}) {
      const Json* value = find(s, k);
      if (value == nullptr) continue;
      const bool exclusive = k == exclusive_key;
      if (exclusive && value->is_boolean()) {  // draft 4: of the other keyword
        left_out = *value == true && at.has_value();
        continue;
      }
      if (!value->is_number()) return invalid(path, fmt::format("{} is not a number", k));
      auto parsed = Decimal::parse(text_of(*value));
      if (!parsed.ok()) return std::move(parsed).status().within("JSON schema: " + shown(path));
      const double before = at ? find(s, key)->get<double>() : 0;
      const double now = value->get<double>();
      bounded = true;
      if (at && (upper ? now > before : now < before)) continue;
      at = *parsed;
      left_out = exclusive;
    }
    return {};
  };
  KETTE_TRY(bound("minimum", "exclusiveMinimum", range.least, range.above, false));
  KETTE_TRY(bound("maximum", "exclusiveMaximum", range.most, range.below, true));
  if (const Json* multiple = find(s, "multipleOf")) {
    bounded = true;
    const std::string text = multiple->is_number() ? text_of(*multiple) : "";
    auto step = Decimal::parse(text);
    const bool one = step.ok() && !step->negative && step->before == "1" && step->after.empty();
    const bool tenth = step.ok() && !step->negative && step->before == "0" && step->after.ends_with('1') &&
                       step->after.find_first_not_of('0') == step->after.size() - 1;
    if (one)
      range.decimals = 0;
    else if (tenth)
      range.decimals = std::min(range.decimals, static_cast<uint32_t>(step->after.size()));
    else
      return unsupported(path, fmt::format("multipleOf {:.32}", text));
  }
  if (const Json* format = find(s, "format"); format != nullptr && s.contains("type")) {
    const std::string name = format->is_string() ? format->get<std::string>() : "";
    const bool narrow = name == "int32", wide = name == "int64";
    if (narrow || wide) {
      bounded = true;
      if (!range.least) range.least = Decimal{true, narrow ? "2147483648" : "9223372036854775808", ""};
      if (!range.most) range.most = Decimal{false, narrow ? "2147483647" : "9223372036854775807", ""};
    } else if (name != "float" && name != "double" && !regex_of_format(name)) {
      return unsupported(path, fmt::format("format \"{:.64}\"", name));
    }
  }
  if (!bounded) return integer ? text_.integer() : text_.number();
  return json_number_between(builder_, range, scratch_);
}

}  // namespace kette
