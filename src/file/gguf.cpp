#include "file/gguf.h"

#include <algorithm>

#include "base/checked.h"
#include "file/cursor.h"
#include "file/gguf_metadata.h"
#include "file/gguf_tensors.h"
#include "file/name_index.h"
#include "file/printable.h"

namespace kette {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr int64_t kMinAlignment = 8, kMaxAlignment = 1 << 21;  // the specification's least; a huge page

struct Header {
  uint32_t version = 0;
  uint64_t tensors = 0, entries = 0;
};

Result<Header> read_header(Cursor& cursor) {
  std::string magic;
  KETTE_TRY(cursor.append(std::min<uint64_t>(4, cursor.remaining()), magic));
  if (magic != "GGUF") {
    return error(Code::kFormat, "not a GGUF file: it begins with '{}', expected 'GGUF'", printable(magic));
  }
  Header header;
  KETTE_TRY(cursor.number(header.version));
  if (header.version != 0 && (header.version & 0xFFFF) == 0) {
    return error(Code::kUnsupported, "a big-endian GGUF file, expected a little-endian one");
  }
  if (header.version != 2 && header.version != 3) {
    return error(Code::kUnsupported, "GGUF version {}, expected 2 or 3", header.version);
  }
  KETTE_TRY(cursor.number(header.tensors));
  KETTE_TRY(cursor.number(header.entries));
  return header;
}

Result<uint64_t> alignment_of(const GgufMetadata& metadata) {
  if (!metadata.has("general.alignment")) return kDefaultAlignment;
  const int64_t n = metadata.integer("general.alignment").value_or(0);
  if (n < kMinAlignment || n > kMaxAlignment || (n & (n - 1)) != 0) {
    return error(Code::kCorrupt, "general.alignment: {}, expected a power of two from {} to {}",
                 metadata.integer("general.alignment") ? fmt::format("{}", n) : "not an integer", kMinAlignment,
                 kMaxAlignment);
  }
  return static_cast<uint64_t>(n);
}

// How a model is divided over files. https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
struct Split {
  int64_t no = 0, count = 1, tensors = 0;
};

Result<Split> split_of(const GgufMetadata& metadata, const GgufLimits& limits) {
  Split split;
  if (!metadata.has("split.count")) return split;
  split.count = metadata.integer("split.count").value_or(-1);
  split.no = metadata.integer("split.no").value_or(-1);
  split.tensors = metadata.integer("split.tensors.count").value_or(-1);
  if (split.count > limits.max_splits) {
    return error(Code::kBudget, "split.count: {}, the limit is {}", split.count, limits.max_splits);
  }
  if (split.count == 0 || split.count == 1) return Split{};
  if (split.count < 0 || split.no < 0 || split.no >= split.count || split.tensors < 0) {
    return error(Code::kCorrupt,
                 "split.no {}, split.count {}, split.tensors.count {}: expected three integers, the "
                 "first below the second",
                 split.no, split.count, split.tensors);
  }
  return split;
}

std::string split_suffix(int64_t no, int64_t count) { return fmt::format("-{:05}-of-{:05}.gguf", no + 1, count); }

// "dir/NAME-00001-of-00003.gguf" -> "NAME"
Result<std::string> split_prefix(std::string_view path, const Split& split) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const std::string suffix = split_suffix(0, split.count);
  if (split.no != 0) {
    return error(Code::kInvalidArgument, "file {} of {} of a split model, open the first: NAME{}", split.no + 1,
                 split.count, suffix);
  }
  if (name.size() <= suffix.size() || !name.ends_with(suffix)) {
    return error(Code::kInvalidArgument, "the first of {} files of a split model, expected the name NAME{}",
                 split.count, suffix);
  }
  return std::string(name.substr(0, name.size() - suffix.size()));
}

}  // namespace

struct Gguf::Impl {
  uint32_t version = 0;
  GgufMetadata metadata;  // of the first file
  std::vector<GgufTensor> tensors;
  NameIndex by_name;  // of tensors
  std::vector<std::unique_ptr<Source>> shards;
  uint64_t metadata_bytes = 0;  // of all files, tensor tables included

  // Reads one file, adds its tensors, and gives its metadata.
  Result<GgufMetadata> add_shard(std::unique_ptr<Source> source, std::span<const StoredType> types,
                                 const GgufLimits& limits) {
    const auto shard = static_cast<uint32_t>(shards.size());
    const Source& file = *shards.emplace_back(std::move(source));
    Cursor cursor(file, limits.max_metadata_bytes - std::min(limits.max_metadata_bytes, metadata_bytes));
    KETTE_ASSIGN(const Header header, read_header(cursor));
    if (shard == 0) version = header.version;
    KETTE_ASSIGN(GgufMetadata read, GgufMetadata::read(cursor, header.entries, limits));
    KETTE_ASSIGN(const uint64_t alignment, alignment_of(read));
    const size_t begin = tensors.size();
    KETTE_TRY(read_gguf_tensors(cursor, header.tensors, shard, types, limits, tensors));
    metadata_bytes += cursor.position();
    const auto data = checked_align_up(cursor.position(), alignment);
    if (!data) return error(Code::kCorrupt, "the data begins beyond 2^64");
    KETTE_TRY(place_gguf_tensors(std::span(tensors).subspan(begin), *data, file.size(), alignment));
    return read;
  }

  Status add_siblings(const OpenSibling& siblings, std::span<const StoredType> types, const GgufLimits& limits) {
    KETTE_ASSIGN(const Split split, split_of(metadata, limits));
    if (split.count == 1) return {};
    KETTE_ASSIGN(const std::string prefix, split_prefix(shards[0]->name(), split));
    if (!siblings) {
      return error(Code::kUnsupported, "the first of {} files of a split model, and no way to open the others",
                   split.count);
    }
    for (int64_t no = 1; no < split.count; ++no) {
      const std::string name = prefix + split_suffix(no, split.count);
      const auto add = [&]() -> Status {
        KETTE_ASSIGN(std::unique_ptr<Source> source, siblings(name));
        if (source == nullptr) return error(Code::kHost, "no file was opened");
        KETTE_ASSIGN(const GgufMetadata other, add_shard(std::move(source), types, limits));
        KETTE_ASSIGN(const Split own, split_of(other, limits));
        if (own.no != no || own.count != split.count || own.tensors != split.tensors) {
          return error(Code::kCorrupt, "split.no {}, split.count {}, split.tensors.count {}, expected {}, {}, {}",
                       own.no, own.count, own.tensors, no, split.count, split.tensors);
        }
        return {};
      };
      if (Status status = add(); !status.ok()) return std::move(status).within(printable(name, 96));
    }
    if (tensors.size() != static_cast<uint64_t>(split.tensors)) {
      return error(Code::kCorrupt, "{} tensors in {} files, split.tensors.count is {}", tensors.size(), split.count,
                   split.tensors);
    }
    return {};
  }

  auto name_at() const {
    return [this](uint32_t i) -> std::string_view { return tensors[i].name; };
  }

  Status index() {
    if (const auto twice = by_name.build(tensors.size(), name_at())) {
      return error(Code::kCorrupt, "duplicate tensor {}", printable(name_at()(*twice), 96));
    }
    return {};
  }
};

Result<Gguf> Gguf::open(std::unique_ptr<Source> first, const OpenSibling& siblings, std::span<const StoredType> types,
                        const GgufLimits& limits) {
  auto impl = std::make_unique<Impl>();
  const std::string label = file_label(first->name());
  const auto read = [&]() -> Status {
    KETTE_ASSIGN(impl->metadata, impl->add_shard(std::move(first), types, limits));
    KETTE_TRY(impl->add_siblings(siblings, types, limits));
    return impl->index();
  };
  if (Status status = read(); !status.ok()) return std::move(status).within(label);
  return Gguf(std::move(impl));
}

Gguf::Gguf(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gguf::Gguf(Gguf&&) noexcept = default;
Gguf& Gguf::operator=(Gguf&&) noexcept = default;
Gguf::~Gguf() = default;

std::optional<int64_t> Gguf::integer(std::string_view key) const { return impl_->metadata.integer(key); }
std::optional<double> Gguf::real(std::string_view key) const { return impl_->metadata.real(key); }
std::optional<bool> Gguf::boolean(std::string_view key) const { return impl_->metadata.boolean(key); }
std::optional<std::string_view> Gguf::string(std::string_view key) const { return impl_->metadata.string(key); }
std::optional<std::vector<std::string_view>> Gguf::strings(std::string_view key) const {
  return impl_->metadata.strings(key);
}
std::optional<std::vector<int64_t>> Gguf::integers(std::string_view key) const { return impl_->metadata.integers(key); }
std::optional<std::vector<double>> Gguf::reals(std::string_view key) const { return impl_->metadata.reals(key); }
bool Gguf::has(std::string_view key) const { return impl_->metadata.has(key); }
std::vector<std::string_view> Gguf::keys() const { return impl_->metadata.keys(); }

std::span<const GgufTensor> Gguf::tensors() const { return impl_->tensors; }

const GgufTensor* Gguf::find(std::string_view name) const {
  const auto i = impl_->by_name.find(name, impl_->name_at());
  return i ? &impl_->tensors[*i] : nullptr;
}

const Source& Gguf::shard(uint32_t i) const { return *impl_->shards[i]; }
uint32_t Gguf::shard_count() const { return static_cast<uint32_t>(impl_->shards.size()); }
uint32_t Gguf::version() const { return impl_->version; }

}  // namespace kette
