#include "file/gguf_metadata.h"

#include "file/printable.h"

namespace kette {
namespace {

// Bytes of one value in the file; for a string those of its length, the least it takes. 0: not a type of GGUF.
uint64_t min_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool: return 1;
    case GgufType::kUint16:
    case GgufType::kInt16: return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32: return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
    case GgufType::kString: return 8;
    case GgufType::kArray: return 12;
  }
  return 0;
}

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

std::optional<int64_t> as_integer(GgufType type, const char* at) {
  switch (type) {
    case GgufType::kUint8: return load<uint8_t>(at);
    case GgufType::kInt8: return load<int8_t>(at);
    case GgufType::kUint16: return load<uint16_t>(at);
    case GgufType::kInt16: return load<int16_t>(at);
    case GgufType::kUint32: return load<uint32_t>(at);
    case GgufType::kInt32: return load<int32_t>(at);
    case GgufType::kInt64: return load<int64_t>(at);
    case GgufType::kUint64: {
      const auto value = load<uint64_t>(at);
      if (value > INT64_MAX) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::optional<double> as_real(GgufType type, const char* at) {
  if (type == GgufType::kFloat32) return load<float>(at);
  if (type == GgufType::kFloat64) return load<double>(at);
  if (type == GgufType::kUint64) return static_cast<double>(load<uint64_t>(at));
  if (const auto n = as_integer(type, at)) return static_cast<double>(*n);
  return std::nullopt;
}

// Every element converted; nothing if one does not fit or the type is of another kind.
template <class T>
std::optional<std::vector<T>> all(GgufType type, const char* at, uint64_t count,
                                  std::optional<T> (*convert)(GgufType, const char*)) {
  constexpr char kZero[8] = {};
  if (!convert(type, kZero)) return std::nullopt;
  std::vector<T> out;
  out.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const auto value = convert(type, at + i * min_bytes(type));
    if (!value) return std::nullopt;
    out.push_back(*value);
  }
  return out;
}

}  // namespace

Status read_gguf_name(Cursor& cursor, uint32_t max_bytes, std::string& out) {
  uint64_t size = 0;
  KETTE_TRY(cursor.number(size));
  if (size > max_bytes) return error(Code::kBudget, "a name of {} bytes, the limit is {}", size, max_bytes);
  if (size == 0) return error(Code::kCorrupt, "an empty name");
  const size_t begin = out.size();
  KETTE_TRY(cursor.append(size, out));
  const std::string_view name = std::string_view(out).substr(begin);
  for (const char c : name) {
    if (c < ' ' || c > '~') return error(Code::kCorrupt, "name '{}', expected printable ASCII", printable(name));
  }
  return {};
}

Result<GgufMetadata> GgufMetadata::read(Cursor& cursor, uint64_t count, const GgufLimits& limits) {
  if (count > limits.max_metadata_entries) {
    return error(Code::kBudget, "{} metadata entries, the limit is {}", count, limits.max_metadata_entries);
  }
  KETTE_TRY(cursor.need(count, 8 + 1 + 4 + 1));  // a key of one byte and a value of one byte
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    if (Status status = metadata.read_entry(cursor, limits); !status.ok()) {
      return std::move(status).within(fmt::format("metadata entry {}", i));
    }
  }
  if (const auto twice = metadata.by_key_.build(metadata.entries_.size(), metadata.key_at())) {
    return error(Code::kCorrupt, "duplicate key {}", printable(metadata.key_at()(*twice)));
  }
  return metadata;
}

Status GgufMetadata::read_entry(Cursor& cursor, const GgufLimits& limits) {
  Entry e{bytes_.size(), 0, 1, 0, GgufType::kUint8, false};
  KETTE_TRY(read_gguf_name(cursor, limits.max_name_bytes, bytes_));
  e.key_size = static_cast<uint32_t>(bytes_.size() - e.key);
  if (Status s = read_value(cursor, limits, e); !s.ok()) return std::move(s).within(printable(key_of(e)));
  entries_.push_back(e);
  return {};
}

Status GgufMetadata::read_value(Cursor& cursor, const GgufLimits& limits, Entry& e) {
  uint32_t type = 0;
  KETTE_TRY(cursor.number(type));
  e.is_array = static_cast<GgufType>(type) == GgufType::kArray;
  if (e.is_array) {
    KETTE_TRY(cursor.number(type));
    KETTE_TRY(cursor.number(e.count));
    if (static_cast<GgufType>(type) == GgufType::kArray) return error(Code::kUnsupported, "an array of arrays");
    if (e.count > limits.max_array_elements) {
      return error(Code::kBudget, "{} array elements, the limit is {}", e.count, limits.max_array_elements);
    }
  }
  e.type = static_cast<GgufType>(type);
  if (min_bytes(e.type) == 0) return error(Code::kCorrupt, "value type {}, expected 0 to 12", type);
  e.value = bytes_.size();
  return read_elements(cursor, e.type, e.count);
}

Status GgufMetadata::read_elements(Cursor& cursor, GgufType type, uint64_t count) {
  KETTE_TRY(cursor.need(count, min_bytes(type)));
  if (type == GgufType::kString) {
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t length = 0;
      KETTE_TRY(cursor.number(length));
      bytes_.append(reinterpret_cast<const char*>(&length), sizeof length);
      KETTE_TRY(cursor.append(length, bytes_));
    }
    return {};
  }
  const size_t begin = bytes_.size();
  KETTE_TRY(cursor.append(count * min_bytes(type), bytes_));
  if (type == GgufType::kBool) {
    for (size_t i = begin; i < bytes_.size(); ++i) {
      if (bytes_[i] != 0 && bytes_[i] != 1) {
        return error(Code::kCorrupt, "bool {}, expected 0 or 1", static_cast<uint8_t>(bytes_[i]));
      }
    }
  }
  return {};
}

const GgufMetadata::Entry* GgufMetadata::find(std::string_view key) const {
  const auto i = by_key_.find(key, key_at());
  return i ? &entries_[*i] : nullptr;
}

const GgufMetadata::Entry* GgufMetadata::find(std::string_view key, bool is_array) const {
  const Entry* e = find(key);
  return e != nullptr && e->is_array == is_array ? e : nullptr;
}

std::string_view GgufMetadata::string_at(uint64_t& at) const {
  const auto length = load<uint64_t>(bytes_.data() + at);
  const auto text = std::string_view(bytes_).substr(at + sizeof length, length);
  at += sizeof length + length;
  return text;
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const Entry* e = find(key, false);
  return e == nullptr ? std::nullopt : as_integer(e->type, bytes_.data() + e->value);
}

std::optional<double> GgufMetadata::real(std::string_view key) const {
  const Entry* e = find(key, false);
  return e == nullptr ? std::nullopt : as_real(e->type, bytes_.data() + e->value);
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const Entry* e = find(key, false);
  if (e == nullptr || e->type != GgufType::kBool) return std::nullopt;
  return bytes_[e->value] != 0;
}

std::optional<std::string_view> GgufMetadata::string(std::string_view key) const {
  const Entry* e = find(key, false);
  if (e == nullptr || e->type != GgufType::kString) return std::nullopt;
  uint64_t at = e->value;
  return string_at(at);
}

std::optional<std::vector<std::string_view>> GgufMetadata::strings(std::string_view key) const {
  const Entry* e = find(key, true);
  if (e == nullptr || e->type != GgufType::kString) return std::nullopt;
  std::vector<std::string_view> out;
  out.reserve(e->count);
  uint64_t at = e->value;
  for (uint64_t i = 0; i < e->count; ++i) out.push_back(string_at(at));
  return out;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  const Entry* e = find(key, true);
  return e == nullptr ? std::nullopt : all<int64_t>(e->type, bytes_.data() + e->value, e->count, as_integer);
}

std::optional<std::vector<double>> GgufMetadata::reals(std::string_view key) const {
  const Entry* e = find(key, true);
  return e == nullptr ? std::nullopt : all<double>(e->type, bytes_.data() + e->value, e->count, as_real);
}

std::vector<std::string_view> GgufMetadata::keys() const {
  std::vector<std::string_view> out;
  out.reserve(entries_.size());
  for (const Entry& e : entries_) out.push_back(key_of(e));
  return out;
}

}  // namespace kette
