// Saving what a session holds, and taking it back.
#include <algorithm>

#include "file/new_file.h"
#include "runtime/session.h"

namespace kette {
namespace {

std::string_view name_of(nn::Mode mode) {
  return mode == nn::Mode::kExact ? "exact" : mode == nn::Mode::kDeterministic ? "deterministic" : "fast";
}

}  // namespace

Result<SessionIdentity> Session::identity() const {
  KETTE_ASSIGN(const Hash128 fingerprint, loaded_->fingerprint());
  const ModelShape& shape = model().shape();
  return SessionIdentity{fingerprint, shape.vocab_size, shape.num_hidden_layers, shape.kv,
                         kv_.type(),  loaded_->mode(),  adapters_.key()};
}

Result<SessionWriter> Session::save() const {
  if (work_) return error(Code::kMisuse, "save while an answer is under way");
  KETTE_ASSIGN(SessionIdentity own, identity());
  // What the module made of the last position is made again with whatever follows.
  const size_t ahead = std::min(ahead_length_, length() > 0 ? length() - 1 : 0);
  return SessionWriter(std::move(own), tokens_, ahead, kv_);
}

Status Session::save_file(const std::string& path) const {
  KETTE_ASSIGN(SessionWriter writer, save());
  KETTE_ASSIGN(const std::unique_ptr<NewFile> file, NewFile::create(path, writer.size()));
  KETTE_TRY(
      writer.write([&](uint64_t offset, std::span<const std::byte> bytes) { return file->write_at(offset, bytes); }));
  return file->keep();
}

Status Session::load(const Source& source) {
  if (work_) return error(Code::kMisuse, "load while an answer is under way");
  KETTE_ASSIGN(const SessionIdentity own, identity());
  auto read = read_session(source, own, capacity(), loaded_->runtime().allocator.get());
  if (!read.ok()) return std::move(read).status().within(source.name());
  SessionState& state = *read;
  const Runtime& runtime = loaded_->runtime();
  if (state.mode != loaded_->mode() && runtime.log)
    runtime.log(LogLevel::kInfo, "session",
                fmt::format("{}: saved in {} mode, loaded in {}: what is held differs in rounding from what would be "
                            "evaluated anew",
                            source.name(), name_of(state.mode), name_of(loaded_->mode())));
  kv_ = std::move(state.kv);
  tokens_ = std::move(state.tokens);
  ahead_length_ = state.ahead_length;
  loaded_length_ = length();
  published_ = 0;
  if (PrefixIndex* index = loaded_->prefixes()) index->trim();
  return {};
}

}  // namespace kette
