#include "kette/experimental.h"

#include <string_view>

#include "handles.h"

namespace {

using namespace kette::capi;
using kette::Code;
using kette::Result;

kette_status session_set_profile(kette_session* session, int32_t on, kette_error** err) {
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    if (on != 0 && on != 1) return kette::error(Code::kInvalidArgument, "on: {}, expected 0 or 1", on);
    s.set_profile(on == 1);
    return KETTE_OK;
  });
}

kette_status session_profile(const kette_session* session, kette_buf** json, kette_error** err) {
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    KETTE_TRY(require(json, "json"));
    KETTE_ASSIGN(std::string text, session->session->profile());
    *json = make_buf(std::move(text));
    return KETTE_OK;
  });
}

struct Entry {
  std::string_view name;
  kette_function function;
};
// As C calls them: the types are those of experimental.h.
const Entry kEntries[] = {
    {KETTE_SESSION_SET_PROFILE,
     reinterpret_cast<kette_function>(static_cast<kette_session_set_profile_fn>(&session_set_profile))},
    {KETTE_SESSION_PROFILE, reinterpret_cast<kette_function>(static_cast<kette_session_profile_fn>(&session_profile))},
};

}  // namespace

extern "C" kette_function kette_get_experimental(const char* name_since) {
  for (const Entry& entry : kEntries)
    if (name_since != nullptr && entry.name == name_since) return entry.function;
  return nullptr;
}
