#include "runtime/session_file.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "base/checksum.h"
#include "file/printable.h"

namespace kette {
namespace {

constexpr uint64_t kMostAdapter = 4096;  // bytes of its key

uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

// Numbers of a session with no more tokens than one of this kind can have: none of these sums overflows.
uint64_t front_bytes(const SavedHeader& h) {
  return padded(h.adapter_bytes) + padded(4 * h.tokens) + 8 * nn::kv_pages(h.tokens);
}
uint64_t page_data_bytes(const SavedHeader& h, const nn::KvShape& shape, nn::KvType type) {
  const uint64_t row = shape.heads * (shape.key_bytes(type) + shape.value_bytes(type));
  return row * (h.main_layers * h.tokens + (h.layers - h.main_layers) * h.ahead_length);
}

// f(bytes) of the filled positions of a page, in order; until it fails. Whole layers come in one piece.
template <class F>
Status each_stretch(const nn::KvCache& kv, const SavedHeader& h, size_t page, F&& f) {
  const size_t first = page * KETTE_KV_PAGE;
  std::byte* const data = kv.page(page).data();
  const auto filled = [&](size_t length) {
    return std::min<size_t>(length > first ? length - first : 0, KETTE_KV_PAGE);
  };
  const auto layers = [&](size_t from, size_t to, size_t positions) -> Status {
    if (from == to || positions == 0) return {};
    if (positions == KETTE_KV_PAGE)
      return f(std::span(data + kv.key_at(from, 0), kv.key_at(to, 0) - kv.key_at(from, 0)));
    const size_t key = kv.shape().key_bytes(kv.type()), value = kv.shape().value_bytes(kv.type());
    for (size_t layer = from; layer < to; ++layer)
      for (size_t head = 0; head < kv.shape().heads; ++head) {
        KETTE_TRY(f(std::span(data + kv.key_at(layer, head), positions * key)));
        if (value > 0) KETTE_TRY(f(std::span(data + kv.value_at(layer, head), positions * value)));
      }
    return {};
  };
  KETTE_TRY(layers(0, h.main_layers, filled(h.tokens)));
  return layers(h.main_layers, h.layers, filled(h.ahead_length));
}

std::span<const std::byte> bytes_of(const SavedHeader& header) { return std::as_bytes(std::span(&header, 1)); }

// Does the header belong to a session like this one?
Status check_identity(const SavedHeader& h, const SessionIdentity& identity) {
  if (h.model[0] != identity.model.high() || h.model[1] != identity.model.low())
    return error(Code::kInvalidArgument, "saved from another model: {:016x}{:016x}, the session's is {}", h.model[0],
                 h.model[1], identity.model.hex());
  if (const auto saved = nn::kv_type_of(h.kv_type); saved != identity.kv_type)
    return error(Code::kInvalidArgument, "saved from a KV cache of {}, the session's is of {}",
                 saved ? nn::kv_format(*saved).name : "an unknown type", nn::kv_format(identity.kv_type).name);
  const nn::KvShape& shape = identity.shape;
  const std::pair<uint64_t, uint64_t> numbers[] = {{h.vocab_size, identity.vocab_size},
                                                   {h.main_layers, identity.main_layers},
                                                   {h.layers, shape.layers},
                                                   {h.heads, shape.heads},
                                                   {h.key_dim, shape.key_dim},
                                                   {h.value_dim, shape.value_dim}};
  for (const auto& [found, expected] : numbers)
    if (found != expected)
      return error(Code::kInvalidArgument,
                   "saved with {} tokens in the vocabulary and a KV cache of {} ({}) layers, {} heads and {} + {} "
                   "numbers; the session has {}, {} ({}), {} and {} + {}",
                   h.vocab_size, h.layers, h.main_layers, h.heads, h.key_dim, h.value_dim, identity.vocab_size,
                   shape.layers, identity.main_layers, shape.heads, shape.key_dim, shape.value_dim);
  if (h.page != KETTE_KV_PAGE)
    return error(Code::kUnsupported, "pages of {} positions, expected {}", h.page, KETTE_KV_PAGE);
  return {};
}

Result<SavedHeader> read_header(const Source& source, const SessionIdentity& identity, size_t capacity) {
  SavedHeader h{};
  if (source.size() < sizeof h)
    return error(Code::kFormat, "{} bytes, a saved session has {} or more", source.size(), sizeof h);
  KETTE_TRY(source.read_at(0, std::as_writable_bytes(std::span(&h, 1))));
  if (std::memcmp(h.magic, SavedHeader::kMagic, sizeof h.magic) != 0)
    return error(Code::kFormat, "not a saved session: it begins with \"{}\"",
                 printable(std::string_view(h.magic, sizeof h.magic), 40));
  if (h.order != SavedHeader::kOrder)
    return error(Code::kUnsupported, "byte order {:#010x}, expected {:#010x}: saved on a machine of another kind",
                 h.order, SavedHeader::kOrder);
  if (h.version != SavedHeader::kVersion)
    return error(Code::kUnsupported, "version {} of the format, expected {}", h.version, SavedHeader::kVersion);
  if (h.sum() != h.header_sum)
    return error(Code::kCorrupt, "header: checksum {:016x}, expected {:016x}", h.sum(), h.header_sum);
  KETTE_TRY(check_identity(h, identity));
  if (h.tokens > capacity)
    return error(Code::kContextFull, "saved with {} tokens, the session holds {}", h.tokens, capacity);
  if (h.mode > 2 || h.reserved != 0)
    return error(Code::kCorrupt, "header: mode {} and {}, expected at most 2 and 0", h.mode, h.reserved);
  if (h.ahead_length > h.tokens || h.adapter_bytes > kMostAdapter)
    return error(Code::kCorrupt,
                 "header: {} positions of the prediction module and {} bytes of an adapter's key, "
                 "expected at most {} and {}",
                 h.ahead_length, h.adapter_bytes, h.tokens, kMostAdapter);
  const uint64_t total = sizeof h + front_bytes(h) + page_data_bytes(h, identity.shape, identity.kv_type);
  if (h.total_bytes != total)
    return error(Code::kCorrupt, "header: {} bytes in all, {} tokens have {}", h.total_bytes, h.tokens, total);
  if (source.size() != total) return error(Code::kCorrupt, "{} bytes, expected {}", source.size(), total);
  return h;
}

}  // namespace

uint64_t SavedHeader::sum() const {
  SavedHeader copy = *this;
  copy.header_sum = 0;
  return checksum(bytes_of(copy));
}

SessionWriter::SessionWriter(SessionIdentity identity, std::span<const int32_t> tokens, size_t ahead_length,
                             const nn::KvCache& kv)
    : kv_(kv) {
  std::memcpy(header_.magic, SavedHeader::kMagic, sizeof header_.magic);
  header_.version = SavedHeader::kVersion;
  header_.order = SavedHeader::kOrder;
  header_.model[0] = identity.model.high();
  header_.model[1] = identity.model.low();
  header_.vocab_size = identity.vocab_size;
  header_.main_layers = identity.main_layers;
  header_.layers = identity.shape.layers;
  header_.heads = identity.shape.heads;
  header_.key_dim = identity.shape.key_dim;
  header_.value_dim = identity.shape.value_dim;
  header_.kv_type = static_cast<uint32_t>(identity.kv_type);
  header_.mode = static_cast<uint32_t>(identity.mode);
  header_.page = KETTE_KV_PAGE;
  header_.adapter_bytes = identity.adapter.size();
  header_.tokens = tokens.size();
  header_.ahead_length = ahead_length;
  header_.total_bytes =
      sizeof header_ + front_bytes(header_) + page_data_bytes(header_, identity.shape, identity.kv_type);

  front_.resize(front_bytes(header_));
  std::memcpy(front_.data(), identity.adapter.data(), identity.adapter.size());
  std::memcpy(front_.data() + padded(identity.adapter.size()), tokens.data(), tokens.size_bytes());
}

Status SessionWriter::write(const WriteAt& write_at) {
  uint64_t offset = sizeof header_ + front_.size();
  const size_t pages = nn::kv_pages(header_.tokens);
  for (size_t i = 0; i < pages; ++i) {
    Checksum sum;
    KETTE_TRY(each_stretch(kv_, header_, i, [&](std::span<const std::byte> bytes) {
      sum.bytes(bytes);
      const uint64_t at = offset;
      offset += bytes.size();
      return write_at(at, bytes);
    }));
    const uint64_t value = sum.value();
    std::memcpy(front_.data() + front_.size() - 8 * (pages - i), &value, sizeof value);
  }
  const auto front = std::as_bytes(std::span(front_));
  header_.front_sum = checksum(front);
  header_.header_sum = header_.sum();
  KETTE_TRY(write_at(sizeof header_, front));
  return write_at(0, bytes_of(header_));
}

Result<SessionState> read_session(const Source& source, const SessionIdentity& identity, size_t capacity,
                                  Allocator* allocator) {
  KETTE_ASSIGN(const SavedHeader header, read_header(source, identity, capacity));
  std::string front(front_bytes(header), '\0');
  KETTE_TRY(source.read_at(sizeof header, std::as_writable_bytes(std::span(front))));
  if (const uint64_t sum = checksum(std::as_bytes(std::span(front))); sum != header.front_sum)
    return error(Code::kCorrupt, "front: checksum {:016x}, expected {:016x}", sum, header.front_sum);
  if (const std::string_view adapter(front.data(), header.adapter_bytes); adapter != identity.adapter)
    return error(Code::kInvalidArgument, "saved with the adapter \"{}\", the session has \"{}\"",
                 printable(adapter, 96), printable(identity.adapter, 96));

  KETTE_ASSIGN(nn::KvCache kv, nn::KvCache::make(identity.shape, identity.kv_type, capacity, allocator));
  SessionState state{std::vector<int32_t>(header.tokens), header.ahead_length, std::move(kv),
                     static_cast<nn::Mode>(header.mode)};
  std::memcpy(state.tokens.data(), front.data() + padded(header.adapter_bytes), 4 * header.tokens);
  for (size_t i = 0; i < state.tokens.size(); ++i)
    if (state.tokens[i] < 0 || static_cast<size_t>(state.tokens[i]) >= identity.vocab_size)
      return error(Code::kCorrupt, "token {} is {}, expected 0 to {}", i, state.tokens[i], identity.vocab_size - 1);

  state.kv.prepare(0, header.tokens, 0);
  uint64_t offset = sizeof header + front.size();
  const size_t pages = nn::kv_pages(header.tokens);
  for (size_t i = 0; i < pages; ++i) {
    Checksum sum;
    KETTE_TRY(each_stretch(state.kv, header, i, [&](std::span<std::byte> bytes) -> Status {
      KETTE_TRY(source.read_at(offset, bytes));
      sum.bytes(bytes);
      offset += bytes.size();
      return {};
    }));
    uint64_t expected = 0;
    std::memcpy(&expected, front.data() + front.size() - 8 * (pages - i), sizeof expected);
    if (sum.value() != expected)
      return error(Code::kCorrupt, "page {} of {}: checksum {:016x}, expected {:016x}", i, pages, sum.value(),
                   expected);
  }
  return state;
}

}  // namespace kette
