/// What an answer's text has to match.
#pragma once

#include <string_view>

#include "kette/model.hpp"

KETTE_BEGIN_NAMESPACE

/// A compiled constraint: a counted reference, immutable, for any number of answers of the model that it was made for.
/// Copies may be used by several threads at once.
class grammar {
 public:
  /// llama.cpp's notation, `root ::= ...`. All three fail with invalid_argument, unsupported (naming what), or budget.
  static result<grammar> from_gbnf(const model& m, std::string_view source) { return from(m, "gbnf", source); }
  /// JSON that is valid by the schema; "{}": any JSON.
  static result<grammar> from_json_schema(const model& m, std::string_view schema) {
    return from(m, "json_schema", schema);
  }
  /// The whole text matches the regular expression.
  static result<grammar> from_regex(const model& m, std::string_view source) { return from(m, "regex", source); }
  /// Adopts a reference; pairs with release().
  explicit grammar(kette_grammar* adopted) noexcept : handle_(adopted) {}

  kette_grammar* raw() const noexcept { return handle_.get(); }
  kette_grammar* release() noexcept { return handle_.release(); }

 private:
  static result<grammar> from(const model& m, const char* kind, std::string_view source) {
    return detail::make<grammar, kette_grammar>([&](kette_grammar** out, kette_error** e) {
      return kette_grammar_new(m.raw(), kind, source.data(), source.size(), out, e);
    });
  }
  detail::shared<kette_grammar, kette_grammar_ref, kette_grammar_unref> handle_;
};
static_assert(sizeof(grammar) == sizeof(void*), "a handle is one pointer wide");

KETTE_END_NAMESPACE
