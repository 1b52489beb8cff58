// <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>
// DeepSeek-V3.1.
#include "chat/deepseek_calls.h"

namespace kette {

const ToolDialect tool_dialect_deepseek_v3_1 = {
    .name = "deepseek_v3_1",
    .frame = {.calls_begin = "<｜tool▁calls▁begin｜>",
              .before_name = "<｜tool▁call▁begin｜>",
              .before_arguments = "<｜tool▁sep｜>",
              .after_arguments = "<｜tool▁call▁end｜>",
              .between_calls = "",
              .calls_end = "<｜tool▁calls▁end｜>"},
    .markers = kDeepseekMarkers,
    .reader = [] { return std::unique_ptr<ToolReader>(std::make_unique<DeepseekReader>(false)); },
};

}  // namespace kette
