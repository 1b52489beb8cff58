#include "file/safetensors_index.h"

#include <algorithm>
#include <map>

#include "file/json_events.h"
#include "file/printable.h"

namespace kette {
namespace {

class IndexReader final : public JsonEvents {
 public:
  std::map<std::string, std::string> files;  // by tensor
  bool found = false;

  Status begin(bool object) override {
    if (++depth_ == 2 && wanted_ && !object) return error(Code::kCorrupt, "weight_map: expected an object");
    if (depth_ == 3 && wanted_) return error(Code::kCorrupt, "weight_map: expected file names");
    return {};
  }
  Status end() override {
    --depth_;
    return {};
  }
  Status key(std::string name) override {
    if (depth_ == 1) {
      wanted_ = name == "weight_map";
      if (wanted_ && found) return error(Code::kCorrupt, "duplicate weight_map");
      found = found || wanted_;
    } else if (depth_ == 2 && wanted_) {
      tensor_ = std::move(name);
    }
    return {};
  }
  Status value(JsonScalar v) override {
    if (!wanted_) return {};
    if (depth_ == 1) return error(Code::kCorrupt, "weight_map: expected an object");
    auto* file = std::get_if<std::string>(&v);
    if (file == nullptr) return error(Code::kCorrupt, "weight_map: {}: expected a file name", printable(tensor_, 96));
    const auto [it, added] = files.emplace(std::move(tensor_), std::move(*file));
    if (!added) return error(Code::kCorrupt, "weight_map: duplicate tensor {}", printable(it->first, 96));
    return {};
  }

 private:
  size_t depth_ = 0;
  bool wanted_ = false;
  std::string tensor_;
};

// The index comes with the model, so its names are a stranger's: they may not lead out of the directory.
bool is_plain_name(std::string_view name) {
  constexpr size_t kMaxName = 255;
  const auto harmless = [](char c) { return c > ' ' && c <= '~' && c != '/' && c != '\\' && c != ':'; };
  return name.size() <= kMaxName && name.ends_with(".safetensors") && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(), harmless);
}

}  // namespace

Result<SafetensorsIndex> read_safetensors_index(std::string_view json) {
  IndexReader reader;
  KETTE_TRY(read_json(json, reader));
  if (!reader.found || reader.files.empty()) return error(Code::kCorrupt, "weight_map: missing or empty");
  SafetensorsIndex index;
  for (const auto& [tensor, file] : reader.files) {
    if (!is_plain_name(file)) {
      return error(Code::kCorrupt, "weight_map: {}: \"{}\", expected the plain name of a .safetensors file",
                   printable(tensor, 96), printable(file));
    }
    index.shards.push_back(file);
  }
  std::sort(index.shards.begin(), index.shards.end());
  index.shards.erase(std::unique(index.shards.begin(), index.shards.end()), index.shards.end());
  if (index.shards.size() > SafetensorsIndex::kMaxShards) {
    return error(Code::kBudget, "{} files, the limit is {}", index.shards.size(), SafetensorsIndex::kMaxShards);
  }
  index.rows.reserve(reader.files.size());
  while (!reader.files.empty()) {
    auto node = reader.files.extract(reader.files.begin());
    const auto shard = std::lower_bound(index.shards.begin(), index.shards.end(), node.mapped());
    index.rows.push_back({std::move(node.key()), static_cast<size_t>(shard - index.shards.begin())});
  }
  return index;
}

}  // namespace kette
