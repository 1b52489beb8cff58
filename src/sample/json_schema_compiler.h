// The compiler of one JSON schema: a rule for each schema in it. Its methods are in json_schema*.cpp, by type.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "sample/expression.h"
#include "sample/json_schema_merge.h"
#include "sample/json_text.h"
#include "sample/regex.h"

namespace kette {

// Schemas still to do are a list: no recursion, however they refer to one another.
class SchemaCompiler {
 public:
  explicit SchemaCompiler(SchemaJson root);
  Result<std::unique_ptr<const GrammarTables>> compile();

 private:
  using Json = SchemaJson;
  struct Todo {
    const Json* schema;
    std::string path;
    uint32_t rule;
  };
  struct Member {  // of an object
    std::string name;
    Expression text;
    bool required;
  };

  static std::string shown(const std::string& path) { return path.empty() ? "the schema" : path; }
  static std::string below(const std::string& path, std::string_view name);
  static Status invalid(const std::string& path, std::string_view what);
  static Status unsupported(const std::string& path, std::string_view what);
  static std::string text_of(const Json& json);
  static const Json* find(const Json& schema, const char* key);

  // The rule of a schema, which is made later; and a call of it.
  uint32_t rule_of(const Json& schema, const std::string& path);
  Expression call(const Json& schema, const std::string& path);
  Result<Expression> schema(const Json& given, const std::string& path);
  static void imply_types(const Json& s, std::vector<std::string>& types);
  Result<Expression> of_type(const Json& s, const std::string& type, const std::string& path);
  Result<Expression> values(const Json& s, const std::vector<std::string>& types, const std::string& path);
  Expression literal(const Json& value);

  // json_schema_choice.cpp
  Result<Expression> alternatives(const Json& s, const std::string& path);
  Status check_apart(std::vector<const Json*> alternatives, const std::string& path);
  Result<bool> are_apart(const Json& a, const Json& b, const std::string& path);
  Result<const Json*> seen_through(const Json& schema, const std::string& path);
  static std::optional<std::span<const Json>> listed(const Json& schema);
  Result<bool> share(std::span<const Json> a, std::span<const Json> b, const std::string& path);
  const std::set<std::string_view>& required_by(const Json& schema);

  // json_schema_object.cpp
  Result<Expression> object(const Json& s, const std::string& path);
  Result<std::vector<Member>> listed_members(const Json& s, const Json* more, const std::string& path);
  Result<std::vector<Expression>> other_members(const Json& s, const std::vector<Member>& members, const Json* more,
                                                const std::string& path);
  Result<Expression> text_object(const Json& s, const std::vector<Member>& members, std::vector<Expression> others,
                                 const std::string& path);

  // json_schema_array.cpp
  Result<uint32_t> count(const Json& s, const char* key, uint32_t fallback, const std::string& path);
  Result<Expression> array(const Json& s, const std::string& path);

  // json_schema_string.cpp
  struct Pattern {
    std::string source;
    RegexMatch match;
  };
  Result<Expression> string(const Json& s, const std::string& path);
  Result<std::vector<Pattern>> patterns(const Json& s, const std::string& path);
  Result<Expression> parse(RuleBuilder& builder, const Pattern& pattern, const std::string& path);
  // What stands between the quotes, each character in its one spelling.
  Result<Dfa> string_automaton(const Json& s, const std::string& path);

  // json_schema_number.cpp
  Result<Expression> number(const Json& s, bool integer, const std::string& path);

  RuleBuilder builder_;
  // Of automata that are made on the side, from which those of rules are made.
  std::shared_ptr<AutomatonCost> scratch_;
  const Json root_;
  SchemaMerger merger_;
  JsonText text_;
  std::map<const Json*, uint32_t> rules_;
  std::vector<Todo> todo_;
  std::map<const Json*, std::set<std::string_view>> required_;  // the names in each list of them
};

}  // namespace kette
