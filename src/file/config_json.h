// The JSON settings files of a Hugging Face model -> Config.
#pragma once

#include <string_view>

#include "base/status.h"
#include "file/config.h"

namespace kette {

// Any of them: nested keys are joined with a dot, null counts as absent, and lists of anything but numbers, strings of
// one kind each are left out.
Result<Config> config_from_json(std::string_view json);

// config.json. What transformers 5 writes as rope_parameters and dtype comes out as rope_theta, rope_scaling.* and
// torch_dtype, and rope_scaling.type as rope_scaling.rope_type. A quantization that Kette does not read is refused.
Result<Config> model_config_from_json(std::string_view json);

}  // namespace kette
