// Sessions saved and loaded: files, and bytes in memory.
#include "handles.h"

using kette::Code;
using kette::Result;

extern "C" {

kette_status kette_session_save(const kette_session* session, kette_buf** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    KETTE_TRY(require(out, "out"));
    KETTE_ASSIGN(kette::SessionWriter writer, session->session->save());
    std::string bytes(writer.size(), '\0');
    KETTE_TRY(writer.write([&](uint64_t offset, std::span<const std::byte> piece) -> kette::Status {
      std::memcpy(bytes.data() + offset, piece.data(), piece.size());
      return {};
    }));
    *out = make_buf(std::move(bytes));
    return KETTE_OK;
  });
}

kette_status kette_session_save_file(const kette_session* session, const char* utf8_path, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    KETTE_TRY(require(utf8_path, "utf8_path"));
    KETTE_TRY(session->session->save_file(utf8_path));
    return KETTE_OK;
  });
}

kette_status kette_session_load(kette_session* session, const void* data, size_t n, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(require_text(data, n, "data"));
    const auto source = kette::open_memory({static_cast<const std::byte*>(data), n}, "saved session");
    KETTE_TRY(s.load(*source));
    return KETTE_OK;
  });
}

kette_status kette_session_load_file(kette_session* session, const char* utf8_path, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(require(utf8_path, "utf8_path"));
    // Read, not mapped: each byte is wanted once, and a file that is cut meanwhile must be an error, not a fault.
    KETTE_ASSIGN(const auto source, kette::open_path(utf8_path, kette::Access::kRead));
    KETTE_TRY(s.load(*source));
    return KETTE_OK;
  });
}

}  // extern "C"
