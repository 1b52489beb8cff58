// Arrays, and the numbers that say how many.
#include <algorithm>

#include "sample/grammar_limits.h"
#include "sample/json_schema_compiler.h"

namespace kette {

Result<uint32_t> SchemaCompiler::count(const Json& s, const char* key, uint32_t fallback, const std::string& path) {
  const Json* n = find(s, key);
  if (n == nullptr) return fallback;
  const double value = n->is_number() ? n->get<double>() : -1.0;
  if (!(value >= 0) || value != static_cast<double>(static_cast<uint64_t>(std::min(value, 1e18))))
    return invalid(path, fmt::format("{} is not a whole number from 0", key));
  if (value > grammar_limits::kRepetitions)
    return error(Code::kBudget, "JSON schema: {}: {} is {}, expected at most {}", shown(path), key, value,
                 grammar_limits::kRepetitions);
  return static_cast<uint32_t>(value);
}

Result<Expression> SchemaCompiler::array(const Json& s, const std::string& path) {
  constexpr uint32_t kNoLimit = RuleBuilder::kNoLimit;
  KETTE_ASSIGN(const uint32_t least, count(s, "minItems", 0, path));
  KETTE_ASSIGN(uint32_t most, count(s, "maxItems", kNoLimit, path));
  if (const Json* unique = find(s, "uniqueItems"); unique != nullptr && *unique != false && most > 1)
    return unsupported(path, "uniqueItems");
  const Json* items = find(s, "items");
  const Json* prefix = find(s, "prefixItems");
  const char* prefix_key = "prefixItems";
  if (prefix == nullptr && items != nullptr && items->is_array()) {  // before 2020-12
    prefix = items;
    prefix_key = "items";
    items = find(s, "additionalItems");
  } else if (items == nullptr && prefix == nullptr && least == 0 && most == kNoLimit) {
    return text_.array();
  }
  if (prefix != nullptr && !prefix->is_array()) return invalid(path, "prefixItems is not a list");
  const auto fixed = static_cast<uint32_t>(prefix != nullptr ? std::min<size_t>(prefix->size(), most) : 0);
  if (items != nullptr && *items == false) most = std::min(most, fixed);
  if (most < least) return builder_.nothing();
  if (most == 0) return builder_.sequence({builder_.bytes("["), text_.space(), builder_.bytes("]")});
  std::vector<Expression> first;  // the items with schemas of their own
  for (uint32_t i = 0; i < fixed; ++i)
    first.push_back(call((*prefix)[i], fmt::format("{}[{}]", below(path, prefix_key), i)));
  const Expression comma = text_.comma();
  std::optional<Expression> rest;  // from the end: what follows item i
  if (most > fixed) {
    const Expression item = items == nullptr || *items == true ? text_.value() : call(*items, below(path, "items"));
    const uint32_t taken = std::max<uint32_t>(fixed, 1);
    if (fixed == 0) first.push_back(item);
    const Expression more = builder_.sequence({comma, item});
    rest = builder_.repeat(more, least > taken ? least - taken : 0, most == kNoLimit ? kNoLimit : most - taken);
  }
  for (size_t i = first.size(); i-- > 1;) {
    std::vector<Expression> parts{comma, first[i]};
    if (rest) parts.push_back(*rest);
    rest = builder_.sequence(std::move(parts));
    if (i >= least) rest = builder_.optional(*rest);
  }
  const Expression members = rest ? builder_.sequence({first[0], *rest}) : first[0];
  return text_.enclosed("[", members, least == 0, "]");
}

}  // namespace kette
