// A set of texts, as rules over bytes: what constrained decoding lets a model write. Made from GBNF, a JSON schema or a
// regular expression, or put together from other grammars.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/status.h"

namespace kette {

struct GrammarTables;

// Immutable once made; shared by any number of matchers and threads. Matched texts are whole UTF-8 where the source asks
// for characters. Sources are text from strangers: any bytes give a grammar or an error, in bounded time and memory.
// kInvalidArgument: the source is not of its kind; kUnsupported: it uses what Kette does not have, named with its place;
// kBudget: a limit of grammar_limits.h is exceeded, and which.
class Grammar {
 public:
  using Pointer = std::shared_ptr<const Grammar>;

  // llama.cpp's notation: `name ::= ...` with "literals", [classes], ( ), |, * + ? {m,n}, # comments; begins at `root`.
  // Left recursion is refused.
  static Result<Pointer> from_gbnf(std::string_view source);
  // Texts that are JSON and valid by the schema; what is understood, and how the JSON is laid out, is told in
  // json_schema.h. An empty schema, {}, is any JSON value.
  static Result<Pointer> from_json_schema(std::string_view json);
  // The whole text matches: a subset of ECMA-262's syntax, told in regex.h.
  static Result<Pointer> from_regex(std::string_view source);

  static Result<Pointer> literal(std::string_view bytes);
  static Result<Pointer> sequence(std::span<const Pointer> parts);
  static Result<Pointer> choice(std::span<const Pointer> parts);
  // From `least` to `most` times; most = kNoLimit: any number.
  static Result<Pointer> repeat(const Pointer& part, uint32_t least, uint32_t most);
  static constexpr uint32_t kNoLimit = UINT32_MAX;

  const GrammarTables& tables() const { return *tables_; }

  explicit Grammar(std::unique_ptr<const GrammarTables> tables);
  ~Grammar();

 private:
  std::unique_ptr<const GrammarTables> tables_;
};

}  // namespace kette
