#include <oneapi/dnnl/dnnl_version.h>

#include <string_view>

#include "handles.h"
#include "kette/api.h"

#define KETTE_TEXT_INNER(x) #x
#define KETTE_TEXT(x) KETTE_TEXT_INNER(x)

extern "C" {

uint32_t kette_version(void) { return KETTE_VERSION; }

const char* kette_build_info(void) {
  return "{\"version\": \"" KETTE_TEXT(KETTE_VERSION_MAJOR) "." KETTE_TEXT(KETTE_VERSION_MINOR) "." KETTE_TEXT(
      KETTE_VERSION_PATCH) "\", \"git_revision\": \"" KETTE_GIT_REVISION "\", \"compiler\": \"" __VERSION__ "\", \"onednn\": \"" KETTE_TEXT(
      DNNL_VERSION_MAJOR) "." KETTE_TEXT(DNNL_VERSION_MINOR) "." KETTE_TEXT(DNNL_VERSION_PATCH)
      "\", \"kernels\": [\"ref\", \"avx2\", \"avx512\", \"avx512_bf16\", \"amx\"]}";
}

int32_t kette_has_feature(const char* name) {
  if (name == nullptr) return 0;
  const std::string_view feature(name);
  for (const std::string_view known :
       {"gguf", "chat_template", "exact", "deterministic", "fork", "vfs", "executor", "allocator", "api_table",
        "grammar", "reasoning", "tool_calls", "logprobs", "lora", "embeddings", "save", "scheduler"})
    if (feature == known) return 1;
  return 0;
}

uint32_t kette_struct_size(const char* name) {
  if (name == nullptr) return 0;
  const std::string_view wanted(name);
#define KETTE_SIZE(type) \
  if (wanted == #type) return sizeof(type);
  KETTE_SIZE(kette_allocator)
  KETTE_SIZE(kette_executor)
  KETTE_SIZE(kette_logger)
  KETTE_SIZE(kette_vfs)
  KETTE_SIZE(kette_runtime_params)
  KETTE_SIZE(kette_model_params)
  KETTE_SIZE(kette_sampling)
  KETTE_SIZE(kette_gen_params)
  KETTE_SIZE(kette_logprob)
  KETTE_SIZE(kette_event)
  KETTE_SIZE(kette_session_params)
  KETTE_SIZE(kette_metrics)
  KETTE_SIZE(kette_api)
#undef KETTE_SIZE
  return 0;
}

}  // extern "C"
