#include <algorithm>

#include "handles.h"

namespace kette::capi {
namespace {

// Returned when there is no memory for an error object; never freed.
kette_error out_of_memory{KETTE_E_OUT_OF_MEMORY, 0, "out of memory"};

// As much of the text as fits in whole UTF-8 characters, control characters blanked.
void present(std::string_view text, char (&out)[sizeof(kette_error::message)]) {
  size_t n = std::min(text.size(), sizeof(out) - 4);
  const bool cut = n < text.size();
  while (cut && n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) --n;
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<unsigned char>(text[i]) < 0x20 || text[i] == 0x7f ? ' ' : text[i];
  std::memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
}

}  // namespace

kette_status report_out_of_memory(kette_error** err) noexcept {
  if (err != nullptr) *err = &out_of_memory;
  return KETTE_E_OUT_OF_MEMORY;
}

kette_status report(const Status& status, kette_error** err) noexcept {
  const auto code = static_cast<kette_status>(status.code());
  if (err == nullptr) return code;
  auto* made = new (std::nothrow) kette_error;
  if (made == nullptr) return report_out_of_memory(err);
  made->code = code;
  made->os_code = status.os_code();
  present(status.message(), made->message);
  *err = made;
  return code;
}

}  // namespace kette::capi

extern "C" {

kette_status kette_error_code(const kette_error* e) { return e != nullptr ? e->code : KETTE_OK; }
const char* kette_error_message(const kette_error* e) { return e != nullptr ? e->message : ""; }
int64_t kette_error_os_code(const kette_error* e) { return e != nullptr ? e->os_code : 0; }
void kette_error_free(kette_error* e) {
  if (e != &kette::capi::out_of_memory) delete e;
}

const char* kette_status_name(kette_status s) {
  switch (s) {
#define KETTE_NAME(name) \
  case name: return #name;
    KETTE_NAME(KETTE_OK)
    KETTE_NAME(KETTE_MORE)
    KETTE_NAME(KETTE_DONE)
    KETTE_NAME(KETTE_E_INVALID_ARGUMENT)
    KETTE_NAME(KETTE_E_STRUCT_TOO_NEW)
    KETTE_NAME(KETTE_E_UNSUPPORTED)
    KETTE_NAME(KETTE_E_NOT_FOUND)
    KETTE_NAME(KETTE_E_IO)
    KETTE_NAME(KETTE_E_FORMAT)
    KETTE_NAME(KETTE_E_CORRUPT)
    KETTE_NAME(KETTE_E_OUT_OF_MEMORY)
    KETTE_NAME(KETTE_E_BUDGET)
    KETTE_NAME(KETTE_E_CONTEXT_FULL)
    KETTE_NAME(KETTE_E_CANCELLED)
    KETTE_NAME(KETTE_E_BUSY)
    KETTE_NAME(KETTE_E_REENTRANT)
    KETTE_NAME(KETTE_E_FORKED)
    KETTE_NAME(KETTE_E_JIT_REFUSED)
    KETTE_NAME(KETTE_E_CPU)
    KETTE_NAME(KETTE_E_GRAMMAR_DEAD_END)
    KETTE_NAME(KETTE_E_INTERNAL)
    KETTE_NAME(KETTE_E_HOST)
    KETTE_NAME(KETTE_E_NUMERIC)
    KETTE_NAME(KETTE_E_MISUSE)
#undef KETTE_NAME
    default: return "unknown status";
  }
}

const void* kette_buf_data(const kette_buf* buf) { return buf != nullptr ? buf->bytes.data() : nullptr; }
size_t kette_buf_size(const kette_buf* buf) { return buf != nullptr ? buf->bytes.size() : 0; }
void kette_buf_free(kette_buf* buf) { delete buf; }

}  // extern "C"
