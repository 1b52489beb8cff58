// GGUF's architecture deepseek2: DeepSeek-V2 and V3, with what its metadata says otherwise than config.json.
#pragma once

#include <string_view>

#include "base/status.h"
#include "file/config.h"
#include "file/gguf.h"

namespace kette {

// config.json's architectures[0]: V3 is told by its routers (sigmoid scores, or a bias for choosing).
std::string_view deepseek2_architecture(const Gguf& gguf);

// Adds to the keys that all architectures share.
Status set_deepseek2(const Gguf& gguf, Config& config);

}  // namespace kette
