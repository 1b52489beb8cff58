// What a session holds, as bytes: its tokens and the filled positions of its KV cache. From them a session of the same
// model goes on as if it had never stopped.
//
//   SavedHeader
//   front: the adapter's key, padded to 8 bytes; the tokens, int32, padded to 8; a checksum of each page's bytes, uint64
//   pages: of each page, for every layer and head, the rows of the filled positions' keys, then of their values
//
// Numbers lie as in memory (little-endian where Kette runs; `order` tells). Every byte is under a checksum (header_sum,
// front_sum, those of the pages), and all are checked before any of it counts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "file/source.h"
#include "nn/kv_cache.h"
#include "nn/step.h"

namespace kette {

struct SavedHeader {
  static constexpr char kMagic[9] = "\x89KSESS\r\n";
  static constexpr uint32_t kVersion = 1, kOrder = 0x01020304;

  char magic[8];
  uint32_t version, order;
  uint64_t header_sum;   // of the header with this number 0
  uint64_t front_sum;    // of the front
  uint64_t total_bytes;  // of all
  uint64_t model[2];     // LoadedModel::fingerprint
  uint64_t vocab_size, main_layers, layers, heads, key_dim, value_dim;
  uint32_t kv_type, mode;
  uint32_t page, reserved;  // positions of a page
  uint64_t adapter_bytes, tokens, ahead_length;

  uint64_t sum() const;  // what header_sum has to be
};
static_assert(sizeof(SavedHeader) == 144);

// Of which session the bytes are or may become.
struct SessionIdentity {
  Hash128 model;
  size_t vocab_size, main_layers;  // the cache's layers behind those are the prediction module's
  nn::KvShape shape;
  nn::KvType kv_type;
  nn::Mode mode;
  std::string adapter;
};

struct SessionState {
  std::vector<int32_t> tokens;
  size_t ahead_length;  // positions that the module's layer holds
  nn::KvCache kv;
  nn::Mode mode;  // in which it was made
};

class SessionWriter {
 public:
  using WriteAt = std::function<Status(uint64_t offset, std::span<const std::byte> bytes)>;

  // Refers to what it is given.
  SessionWriter(SessionIdentity identity, std::span<const int32_t> tokens, size_t ahead_length, const nn::KvCache& kv);

  uint64_t size() const { return header_.total_bytes; }
  // Every byte once; the header last, so that what was not written to its end is nothing.
  Status write(const WriteAt& write_at);

 private:
  const nn::KvCache& kv_;
  SavedHeader header_{};
  std::string front_;
};

// kFormat: no saved session; kUnsupported: of another version; kCorrupt: damaged; kInvalidArgument: of another model, KV
// type or adapter; kContextFull: more tokens than `capacity`.
Result<SessionState> read_session(const Source& source, const SessionIdentity& identity, size_t capacity,
                                  Allocator* allocator);

}  // namespace kette
