#include "file/safetensors.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/checked.h"
#include "file/json_events.h"
#include "file/name_index.h"
#include "file/printable.h"

namespace kette {
namespace {

constexpr uint32_t kNoGgmlType = UINT32_MAX;

// Every dtype of the format with its size; numbers below a byte in the least whole bytes.
constexpr SafetensorsType kDtypes[] = {
    {"BOOL", {"bool", kNoGgmlType, 1, 1}},       {"F4", {"f4", kNoGgmlType, 2, 1}},
    {"F6_E2M3", {"f6_e2m3", kNoGgmlType, 4, 3}}, {"F6_E3M2", {"f6_e3m2", kNoGgmlType, 4, 3}},
    {"U8", {"u8", kNoGgmlType, 1, 1}},           {"I8", {"i8", kNoGgmlType, 1, 1}},
    {"F8_E5M2", {"f8_e5m2", kNoGgmlType, 1, 1}}, {"F8_E4M3", {"f8_e4m3", kNoGgmlType, 1, 1}},
    {"F8_E8M0", {"f8_e8m0", kNoGgmlType, 1, 1}}, {"I16", {"i16", kNoGgmlType, 1, 2}},
    {"U16", {"u16", kNoGgmlType, 1, 2}},         {"F16", {"f16", kNoGgmlType, 1, 2}},
    {"BF16", {"bf16", kNoGgmlType, 1, 2}},       {"I32", {"i32", kNoGgmlType, 1, 4}},
    {"U32", {"u32", kNoGgmlType, 1, 4}},         {"F32", {"f32", kNoGgmlType, 1, 4}},
    {"C64", {"c64", kNoGgmlType, 1, 8}},         {"F64", {"f64", kNoGgmlType, 1, 8}},
    {"I64", {"i64", kNoGgmlType, 1, 8}},         {"U64", {"u64", kNoGgmlType, 1, 8}},
};

const StoredType* find_dtype(std::span<const SafetensorsType> types, std::string_view dtype) {
  const auto it = std::find_if(types.begin(), types.end(), [&](const SafetensorsType& t) { return t.dtype == dtype; });
  return it == types.end() ? nullptr : &it->type;
}

std::string label(std::string_view name) { return fmt::format("tensor {}", printable(name, 96)); }

// A tensor's entry as the header has it.
struct Entry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape, offsets;
};

class HeaderReader final : public JsonEvents {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  Status key(std::string name) override {
    if (place_ == Place::kTop) {
      key_ = std::move(name);
    } else if (place_ == Place::kMetadata) {
      field_ = std::move(name);
      if (metadata.contains(field_)) return error(Code::kCorrupt, "__metadata__: duplicate key {}", printable(field_));
    } else if (place_ == Place::kTensor) {
      field_ = std::move(name);
    }
    return {};
  }

  Status begin(bool object) override {
    switch (place_) {
      case Place::kOutside: place_ = Place::kTop; return {};
      case Place::kTop:
        if (!object) return wrong(key_, "expected an object");
        if (key_ == kMetadataKey) return open_metadata(Place::kMetadata);
        place_ = Place::kTensor;
        entries.push_back({std::move(key_), {}, {}, {}});
        return {};
      case Place::kTensor:
        if (field_ == "shape" || field_ == "data_offsets") return object ? wrong_field("expected a list") : open_list();
        if (field_ == "dtype") return wrong_field("expected a string");
        place_ = Place::kUnknown;
        nested_ = 1;
        return {};
      case Place::kUnknown: ++nested_; return {};
      case Place::kMetadata: return wrong(kMetadataKey, "expected strings");
      case Place::kList: return wrong_field("expected whole numbers");
    }
    return {};
  }

  Status end() override {
    switch (place_) {
      case Place::kUnknown:
        if (--nested_ == 0) place_ = Place::kTensor;
        return {};
      case Place::kList: place_ = Place::kTensor; return {};
      default: place_ = Place::kTop; return {};
    }
  }

  Status value(JsonScalar v) override {
    switch (place_) {
      case Place::kTop:
        if (key_ == kMetadataKey && std::holds_alternative<std::nullptr_t>(v)) return open_metadata(Place::kTop);
        return wrong(key_, "expected an object");
      case Place::kMetadata:
        if (!std::holds_alternative<std::string>(v)) return wrong(kMetadataKey, "expected strings");
        metadata.emplace(std::move(field_), std::get<std::string>(std::move(v)));
        return {};
      case Place::kTensor:
        if (field_ == "shape" || field_ == "data_offsets") return wrong_field("expected a list");
        if (field_ != "dtype") return {};
        if (!std::holds_alternative<std::string>(v)) return wrong_field("expected a string");
        if (entries.back().dtype) return wrong_field("there twice");
        entries.back().dtype = std::get<std::string>(std::move(v));
        return {};
      case Place::kList: {
        const auto* n = std::get_if<int64_t>(&v);
        if (n == nullptr || *n < 0) return wrong_field("expected whole numbers");
        list_->push_back(static_cast<uint64_t>(*n));
        return {};
      }
      default: return {};
    }
  }

 private:
  static constexpr std::string_view kMetadataKey = "__metadata__";
  enum class Place { kOutside, kTop, kMetadata, kTensor, kList, kUnknown };

  Status wrong(std::string_view key, std::string_view what) {
    return error(Code::kCorrupt, "header: {}: {}", printable(key, 96), what);
  }
  Status wrong_field(std::string_view what) {
    return error(Code::kCorrupt, "{}: {}", field_, what).within(label(entries.back().name));
  }
  Status open_metadata(Place place) {
    if (metadata_seen_) return error(Code::kCorrupt, "header: duplicate {}", kMetadataKey);
    metadata_seen_ = true;
    place_ = place;
    return {};
  }
  Status open_list() {
    auto& list = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    if (list) return wrong_field("there twice");
    list_ = &list.emplace();
    place_ = Place::kList;
    return {};
  }

  Place place_ = Place::kOutside;
  bool metadata_seen_ = false;
  std::string key_, field_;  // of the outermost object; of an entry or of the metadata
  std::vector<uint64_t>* list_ = nullptr;
  size_t nested_ = 0;  // containers open in a field that this reader does not know
};

// Bytes of the data; the format wants whole bytes, so that numbers below a byte come in fitting counts.
Result<uint64_t> data_bytes(const std::vector<uint64_t>& shape, const StoredType& type) {
  std::optional<uint64_t> elements = 1;
  for (const uint64_t n : shape) {
    if (elements) elements = checked_mul(*elements, n);
  }
  const auto bits = elements ? checked_mul(*elements, uint64_t{8} * type.block_bytes / type.block_size) : std::nullopt;
  if (!bits || *bits / 8 > INT64_MAX) {
    return error(Code::kCorrupt, "a shape of {} dimensions with more than 2^61 bytes", shape.size());
  }
  if (*bits % 8 != 0) return error(Code::kCorrupt, "{} numbers of {}, expected whole bytes", *elements, type.name);
  return *bits / 8;
}

Result<SafetensorsTensor> check(Entry entry, std::span<const SafetensorsType> types) {
  if (!entry.dtype) return error(Code::kCorrupt, "dtype: missing");
  if (!entry.shape) return error(Code::kCorrupt, "shape: missing");
  if (!entry.offsets) return error(Code::kCorrupt, "data_offsets: missing");
  const StoredType* type = find_dtype(types, *entry.dtype);
  if (type == nullptr) type = find_dtype(kDtypes, *entry.dtype);
  if (type == nullptr) {
    return error(Code::kUnsupported, "dtype: \"{}\", expected one of the format", printable(*entry.dtype, 32));
  }
  const auto& offsets = *entry.offsets;
  if (offsets.size() != 2) return error(Code::kCorrupt, "data_offsets: {} numbers, expected 2", offsets.size());
  if (offsets[1] < offsets[0]) return error(Code::kCorrupt, "data_offsets: [{}, {}]", offsets[0], offsets[1]);
  KETTE_ASSIGN(const uint64_t bytes, data_bytes(*entry.shape, *type));
  if (bytes != offsets[1] - offsets[0]) {
    return error(Code::kCorrupt, "data_offsets: {} bytes, its shape and dtype {} have {}", offsets[1] - offsets[0],
                 *entry.dtype, bytes);
  }
  return SafetensorsTensor{std::move(entry.name), type, std::move(*entry.shape), bytes, offsets[0]};
}

// The data covers [data_begin, file_size) exactly; offsets from its start -> from the start of the file.
Status place(std::vector<SafetensorsTensor>& tensors, uint64_t data_begin, uint64_t file_size) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(tensors[a].offset, tensors[a].bytes) < std::pair(tensors[b].offset, tensors[b].bytes);
  });
  const uint64_t data_bytes = file_size - data_begin;
  uint64_t end = 0;
  for (const uint32_t i : order) {
    SafetensorsTensor& t = tensors[i];
    if (t.offset != end) {
      return error(Code::kCorrupt, "data at {}, expected at {}: behind that of the tensor before", t.offset, end)
          .within(label(t.name));
    }
    if (t.bytes > data_bytes - end) {
      return error(Code::kCorrupt, "data ends at {} + {}, the file has {} bytes of data", t.offset, t.bytes, data_bytes)
          .within(label(t.name));
    }
    end += t.bytes;
    t.offset += data_begin;
  }
  if (end != data_bytes) {
    return error(Code::kCorrupt, "the tensors have {} bytes of data, the file has {}", end, data_bytes);
  }
  return {};
}

Result<std::string> read_header(const Source& source) {
  uint64_t size = 0;
  if (source.size() < sizeof size) {
    return error(Code::kFormat, "not a safetensors file: {} bytes, expected 8 or more", source.size());
  }
  KETTE_TRY(source.read_at(0, std::as_writable_bytes(std::span(&size, 1))));
  if (size > Safetensors::kMaxHeaderBytes) {
    return error(Code::kFormat, "a header of {} bytes, expected at most {}", size, Safetensors::kMaxHeaderBytes);
  }
  if (size > source.size() - sizeof size) {
    return error(Code::kCorrupt, "truncated: a header of {} bytes, the file has {}", size, source.size());
  }
  std::string header(size, '\0');
  KETTE_TRY(source.read_at(sizeof size, std::as_writable_bytes(std::span(header))));
  // Nothing before the object, or the file could be one of another format as well.
  if (!header.starts_with('{')) return error(Code::kFormat, "not a safetensors file: the header is not a JSON object");
  return header;
}

}  // namespace

Result<Safetensors> Safetensors::read(const Source& source, std::span<const SafetensorsType> types) {
  Safetensors out;
  const auto read = [&]() -> Status {
    uint64_t data_begin = sizeof(uint64_t);
    HeaderReader reader;
    {
      KETTE_ASSIGN(const std::string header, read_header(source));
      data_begin += header.size();
      KETTE_TRY(read_json(header, reader).within("header"));
    }
    out.metadata = std::move(reader.metadata);
    out.tensors.reserve(reader.entries.size());
    for (Entry& entry : reader.entries) {
      const std::string where = label(entry.name);
      auto tensor = check(std::move(entry), types);
      if (!tensor.ok()) return std::move(tensor).status().within(where);
      out.tensors.push_back(std::move(*tensor));
    }
    const auto name_at = [&](uint32_t i) -> std::string_view { return out.tensors[i].name; };
    if (const auto twice = NameIndex().build(out.tensors.size(), name_at)) {
      return error(Code::kCorrupt, "duplicate {}", label(name_at(*twice)));
    }
    return place(out.tensors, data_begin, source.size());
  };
  if (Status status = read(); !status.ok()) return std::move(status).within(file_label(source.name()));
  return out;
}

}  // namespace kette
