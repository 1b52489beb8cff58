// Schemas that must hold together -> one schema that says the same; and references within the document.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kette {

using SchemaJson = nlohmann::ordered_json;

// Keywords that restrict nothing, or only hold what $ref points to.
bool is_annotation(std::string_view keyword);
// The names of a schema's `type`, each once; all of them where it has none.
Result<std::vector<std::string>> types_of(const SchemaJson& schema, const std::string& path);

class SchemaMerger {
 public:
  explicit SchemaMerger(const SchemaJson& root) : root_(root) {}

  // What "#/..." points to.
  Result<const SchemaJson*> find(const std::string& reference, const std::string& path);
  // The schema without allOf, and without $ref unless that is all it says. Lives as long as the merger.
  Result<const SchemaJson*> flatten(const SchemaJson& schema, const std::string& path);
  // Both together; flat ones.
  Result<const SchemaJson*> both(const SchemaJson& a, const SchemaJson& b, const std::string& path);
  // A schema that was put together; lives as long as the merger. All of them together are limited.
  Result<const SchemaJson*> keep(SchemaJson schema, const std::string& path);
  // Counts keys and values that are looked at or compared with others; kBudget beyond the limit for one schema.
  Status spend(size_t comparisons, const std::string& path);
  // Whether the values are equal, at its price.
  Result<bool> equal(const SchemaJson& a, const SchemaJson& b, const std::string& path);

 private:
  Result<const SchemaJson*> flatten(const SchemaJson& schema, const std::string& path, size_t nesting);
  Status merge(SchemaJson& into, const SchemaJson& from, const std::string& path);
  Status merge_objects(SchemaJson& into, const SchemaJson& from, const std::string& path);
  Status merge_properties(SchemaJson& into, const SchemaJson& from, const std::string& path);
  Status merge_values(SchemaJson& into, const SchemaJson& from, const std::string& path);
  Status merge_keyword(SchemaJson& into, const std::string& key, const SchemaJson& value, const std::string& path);

  const SchemaJson& root_;
  std::deque<SchemaJson> kept_;
  size_t members_ = 0, bytes_ = 0;  // of all that was kept
  size_t comparisons_ = 0;
};

}  // namespace kette
