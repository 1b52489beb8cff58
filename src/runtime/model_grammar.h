// A grammar over a model's vocabulary: what answers of that model may be.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "runtime/loaded_model.h"
#include "sample/grammar_matcher.h"

namespace kette {

// Immutable; for any number of sessions of the model.
class ModelGrammar {
 public:
  // `kind`: "gbnf", "json_schema", "regex", or "json" with no source. kInvalidArgument for others; else as Grammar's makers.
  static Result<std::shared_ptr<const ModelGrammar>> make(std::shared_ptr<const LoadedModel> loaded,
                                                          std::string_view kind, std::string_view source);
  static Result<std::shared_ptr<const ModelGrammar>> make(std::shared_ptr<const LoadedModel> loaded,
                                                          Grammar::Pointer grammar);

  const LoadedModel& loaded() const { return *loaded_; }
  // What a generation's GrammarMatcher is made from.
  const std::shared_ptr<const Constraint>& constraint() const { return constraint_; }

 private:
  ModelGrammar() = default;
  std::shared_ptr<const LoadedModel> loaded_;
  std::shared_ptr<const Constraint> constraint_;
};

}  // namespace kette
