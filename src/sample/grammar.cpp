#include "sample/grammar.h"

#include "sample/expression.h"
#include "sample/gbnf.h"
#include "sample/grammar_limits.h"
#include "sample/grammar_tables.h"
#include "sample/json_schema.h"
#include "sample/regex.h"

namespace kette {
namespace {

Status check_size(std::string_view source, std::string_view kind) {
  if (source.size() <= grammar_limits::kSourceBytes) return {};
  return error(Code::kBudget, "{}: {} bytes, expected at most {}", kind, source.size(), grammar_limits::kSourceBytes);
}

Result<Grammar::Pointer> make(Result<std::unique_ptr<const GrammarTables>> tables) {
  if (!tables.ok()) return std::move(tables).status();
  return std::make_shared<const Grammar>(std::move(*tables));
}

// A root rule that calls the parts' roots, and the rules of all parts behind it.
template <class F>
Result<Grammar::Pointer> combine(std::span<const Grammar::Pointer> parts, F combine_calls) {
  RuleBuilder builder;
  std::vector<Expression> calls;
  std::vector<uint32_t> firsts;
  size_t rules = 1;
  for (const Grammar::Pointer& part : parts) {
    if (part == nullptr) return error(Code::kInvalidArgument, "grammar: part {} is not there", firsts.size());
    firsts.push_back(static_cast<uint32_t>(rules));
    calls.push_back(builder.call(firsts.back() + part->tables().root));
    rules += part->tables().starts.size();
    if (rules > grammar_limits::kRules)
      return error(Code::kBudget, "grammar: more than {} rules", grammar_limits::kRules);
  }
  std::vector<Dfa> dfas(1);
  std::vector<std::string> names(1);
  KETTE_ASSIGN(dfas[0], builder.determinize(combine_calls(builder, calls)));
  for (size_t p = 0; p < parts.size(); ++p) {
    const GrammarTables& tables = parts[p]->tables();
    for (Dfa& dfa : unlink_rules(tables, firsts[p])) dfas.push_back(std::move(dfa));
    names.insert(names.end(), tables.names.begin(), tables.names.end());
  }
  return make(link_rules(std::move(dfas), std::move(names), 0));
}

}  // namespace

Grammar::Grammar(std::unique_ptr<const GrammarTables> tables) : tables_(std::move(tables)) {}
Grammar::~Grammar() = default;

Result<Grammar::Pointer> Grammar::from_gbnf(std::string_view source) {
  KETTE_TRY(check_size(source, "GBNF"));
  return make(compile_gbnf(source));
}

Result<Grammar::Pointer> Grammar::from_json_schema(std::string_view json) {
  KETTE_TRY(check_size(json, "JSON schema"));
  return make(compile_json_schema(json));
}

Result<Grammar::Pointer> Grammar::from_regex(std::string_view source) {
  KETTE_TRY(check_size(source, "regex"));
  RuleBuilder builder;
  KETTE_ASSIGN(const Expression whole, parse_regex(builder, source, RegexMatch::kWhole, RegexText::kPlain));
  const uint32_t root = builder.declare("regex");
  builder.define(root, whole);
  return make(builder.compile(root));
}

Result<Grammar::Pointer> Grammar::literal(std::string_view bytes) {
  KETTE_TRY(check_size(bytes, "literal"));
  RuleBuilder builder;
  const uint32_t root = builder.declare("literal");
  builder.define(root, builder.bytes(bytes));
  return make(builder.compile(root));
}

Result<Grammar::Pointer> Grammar::sequence(std::span<const Pointer> parts) {
  return combine(parts, [](RuleBuilder& b, std::vector<Expression> calls) { return b.sequence(std::move(calls)); });
}

Result<Grammar::Pointer> Grammar::choice(std::span<const Pointer> parts) {
  return combine(parts, [](RuleBuilder& b, std::vector<Expression> calls) { return b.choice(std::move(calls)); });
}

Result<Grammar::Pointer> Grammar::repeat(const Pointer& part, uint32_t least, uint32_t most) {
  if (most < least) return error(Code::kInvalidArgument, "grammar: repeated {} to {} times", least, most);
  return combine({&part, 1},
                 [&](RuleBuilder& b, const std::vector<Expression>& calls) { return b.repeat(calls[0], least, most); });
}

}  // namespace kette
