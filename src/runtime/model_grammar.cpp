#include "runtime/model_grammar.h"

namespace kette {
namespace {

Result<Grammar::Pointer> any_json(std::string_view source) {
  if (source.empty()) return Grammar::from_json_schema("{}");
  return error(Code::kInvalidArgument,
               "grammar of kind \"json\": found {} bytes, expected none; a schema is \"json_schema\"", source.size());
}

constexpr struct {
  std::string_view name;
  Result<Grammar::Pointer> (*make)(std::string_view source);
} kKinds[] = {
    {"gbnf", Grammar::from_gbnf},
    {"json_schema", Grammar::from_json_schema},
    {"regex", Grammar::from_regex},
    {"json", any_json},
};

}  // namespace

Result<std::shared_ptr<const ModelGrammar>> ModelGrammar::make(std::shared_ptr<const LoadedModel> loaded,
                                                               std::string_view kind, std::string_view source) {
  for (const auto& known : kKinds) {
    if (kind != known.name) continue;
    KETTE_ASSIGN(Grammar::Pointer grammar, known.make(source));
    return make(std::move(loaded), std::move(grammar));
  }
  return error(Code::kInvalidArgument, "kind is \"{:.32}\", expected \"gbnf\", \"json_schema\", \"json\" or \"regex\"",
               kind);
}

Result<std::shared_ptr<const ModelGrammar>> ModelGrammar::make(std::shared_ptr<const LoadedModel> loaded,
                                                               Grammar::Pointer grammar) {
  std::shared_ptr<ModelGrammar> made(new ModelGrammar);
  KETTE_ASSIGN(std::shared_ptr<const TokenIndex> tokens, loaded->token_index());
  KETTE_ASSIGN(made->constraint_, Constraint::make(std::move(grammar), std::move(tokens)));
  made->loaded_ = std::move(loaded);
  return std::shared_ptr<const ModelGrammar>(std::move(made));
}

}  // namespace kette
