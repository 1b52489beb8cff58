// GGUF metadata -> the config.json keys a model reads.
#pragma once

#include "base/status.h"
#include "file/config.h"
#include "file/gguf.h"
#include "file/gguf_names.h"

namespace kette {

Result<Config> config_from_gguf(const Gguf& gguf, const GgufArchitecture& architecture);

}  // namespace kette
