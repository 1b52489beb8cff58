// <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
// ```json
// {"a": 1}
// ```<｜tool▁call▁end｜><｜tool▁calls▁end｜>
// DeepSeek-V3, R1 and the distills of R1.
#include "chat/deepseek_calls.h"

namespace kette {

const ToolDialect tool_dialect_deepseek_v3 = {
    .name = "deepseek_v3",
    .frame = {.calls_begin = "<｜tool▁calls▁begin｜>",
              .before_name = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
              .before_arguments = "\n```json\n",
              .after_arguments = "\n```<｜tool▁call▁end｜>",
              .between_calls = "\n",
              .calls_end = "<｜tool▁calls▁end｜>"},
    .markers = kDeepseekMarkers,
    .reader = [] { return std::unique_ptr<ToolReader>(std::make_unique<DeepseekReader>(true)); },
};

}  // namespace kette
