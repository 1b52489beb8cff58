/* Sizes and offsets of the public structs against layout.txt, which the bindings mirror. Until 1.0 a change of the ABI is
 * made on purpose: layout_test --print > layout.txt, and another minor version once this one is released. */
#include <stdarg.h>
#include <stddef.h>

#include "check.h"

static char text[16384];
static size_t length;

static void line(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  length += (size_t)vsnprintf(text + length, sizeof text - length, format, arguments);
  va_end(arguments);
  REQUIRE(length < sizeof text);
}
#define STRUCT(type)                     \
  line("%s %zu\n", #type, sizeof(type)); \
  CHECK_INT(kette_struct_size(#type), sizeof(type))
#define FIELD(type, field) line("%s.%s %zu %zu\n", #type, #field, offsetof(type, field), sizeof(((type*)0)->field))

int main(int argc, char** argv) {
  struct bytes golden;
  STRUCT(kette_allocator);
  FIELD(kette_allocator, struct_size);
  FIELD(kette_allocator, reserved);
  FIELD(kette_allocator, user);
  FIELD(kette_allocator, alloc);
  FIELD(kette_allocator, free_);
  STRUCT(kette_executor);
  FIELD(kette_executor, struct_size);
  FIELD(kette_executor, n_workers);
  FIELD(kette_executor, user);
  FIELD(kette_executor, parallel_for);
  FIELD(kette_executor, in_worker);
  STRUCT(kette_logger);
  FIELD(kette_logger, struct_size);
  FIELD(kette_logger, min_level);
  FIELD(kette_logger, user);
  FIELD(kette_logger, log);
  FIELD(kette_logger, destroy);
  STRUCT(kette_vfs);
  FIELD(kette_vfs, struct_size);
  FIELD(kette_vfs, reserved);
  FIELD(kette_vfs, user);
  FIELD(kette_vfs, open);
  FIELD(kette_vfs, read_at);
  FIELD(kette_vfs, map);
  FIELD(kette_vfs, unmap);
  FIELD(kette_vfs, close);
  FIELD(kette_vfs, destroy);
  STRUCT(kette_runtime_params);
  FIELD(kette_runtime_params, struct_size);
  FIELD(kette_runtime_params, flags);
  FIELD(kette_runtime_params, n_threads);
  FIELD(kette_runtime_params, thread_priority);
  FIELD(kette_runtime_params, spin_us);
  FIELD(kette_runtime_params, quantum_us);
  FIELD(kette_runtime_params, cpu_mask_lo);
  FIELD(kette_runtime_params, cpu_mask_hi);
  FIELD(kette_runtime_params, max_isa);
  FIELD(kette_runtime_params, allocator);
  FIELD(kette_runtime_params, executor);
  FIELD(kette_runtime_params, logger);
  STRUCT(kette_model_params);
  FIELD(kette_model_params, struct_size);
  FIELD(kette_model_params, flags);
  FIELD(kette_model_params, weight_type);
  FIELD(kette_model_params, memory_budget);
  FIELD(kette_model_params, vfs);
  FIELD(kette_model_params, cancel);
  FIELD(kette_model_params, progress);
  FIELD(kette_model_params, progress_user);
  FIELD(kette_model_params, pack_dir);
  FIELD(kette_model_params, plan_context);
  FIELD(kette_model_params, reserved);
  FIELD(kette_model_params, prefix_cache_bytes);
  STRUCT(kette_sampling);
  FIELD(kette_sampling, struct_size);
  FIELD(kette_sampling, set);
  FIELD(kette_sampling, temperature);
  FIELD(kette_sampling, top_p);
  FIELD(kette_sampling, min_p);
  FIELD(kette_sampling, repetition_penalty);
  FIELD(kette_sampling, presence_penalty);
  FIELD(kette_sampling, frequency_penalty);
  FIELD(kette_sampling, top_k);
  FIELD(kette_sampling, penalty_window);
  FIELD(kette_sampling, seed);
  FIELD(kette_sampling, bias_ids);
  FIELD(kette_sampling, bias);
  FIELD(kette_sampling, n_bias);
  STRUCT(kette_gen_params);
  FIELD(kette_gen_params, struct_size);
  FIELD(kette_gen_params, flags);
  FIELD(kette_gen_params, max_tokens);
  FIELD(kette_gen_params, n_stop);
  FIELD(kette_gen_params, sampling);
  FIELD(kette_gen_params, stop);
  FIELD(kette_gen_params, stop_tokens);
  FIELD(kette_gen_params, n_stop_tokens);
  FIELD(kette_gen_params, cancel);
  FIELD(kette_gen_params, speculation);
  FIELD(kette_gen_params, max_draft);
  FIELD(kette_gen_params, reasoning);
  FIELD(kette_gen_params, reasoning_max_tokens);
  FIELD(kette_gen_params, reasoning_min_tokens);
  FIELD(kette_gen_params, tool_choice);
  FIELD(kette_gen_params, reasoning_close);
  FIELD(kette_gen_params, tool_name);
  FIELD(kette_gen_params, grammar);
  FIELD(kette_gen_params, top_logprobs);
  FIELD(kette_gen_params, reserved);
  STRUCT(kette_logprob);
  FIELD(kette_logprob, token);
  FIELD(kette_logprob, logprob);
  STRUCT(kette_event);
  FIELD(kette_event, struct_size);
  FIELD(kette_event, type);
  FIELD(kette_event, text);
  FIELD(kette_event, text_len);
  FIELD(kette_event, token);
  FIELD(kette_event, finish_reason);
  FIELD(kette_event, index);
  FIELD(kette_event, reasoning_end);
  FIELD(kette_event, top);
  FIELD(kette_event, n_top);
  FIELD(kette_event, logprob);
  FIELD(kette_event, tool_index);
  FIELD(kette_event, is_malformed);
  FIELD(kette_event, session);
  FIELD(kette_event, user);
  FIELD(kette_event, status);
  FIELD(kette_event, reserved);
  STRUCT(kette_session_params);
  FIELD(kette_session_params, struct_size);
  FIELD(kette_session_params, flags);
  FIELD(kette_session_params, max_context);
  FIELD(kette_session_params, kv_type);
  FIELD(kette_session_params, user);
  STRUCT(kette_metrics);
  FIELD(kette_metrics, struct_size);
  FIELD(kette_metrics, reserved);
  FIELD(kette_metrics, prompt_tokens);
  FIELD(kette_metrics, cached_tokens);
  FIELD(kette_metrics, gen_tokens);
  FIELD(kette_metrics, ttft_us);
  FIELD(kette_metrics, prefill_us);
  FIELD(kette_metrics, decode_us);
  FIELD(kette_metrics, kv_bytes);
  FIELD(kette_metrics, weight_bytes);
  FIELD(kette_metrics, scratch_bytes);
  FIELD(kette_metrics, steps);
  FIELD(kette_metrics, step_overrun_max_us);
  FIELD(kette_metrics, quantum_max_us);
  FIELD(kette_metrics, drafted_tokens);
  FIELD(kette_metrics, accepted_tokens);
  FIELD(kette_metrics, reasoning_tokens);
  FIELD(kette_metrics, reasoning_end);
  FIELD(kette_metrics, dropped_messages);
  if (argc > 1 && strcmp(argv[1], "--print") == 0) return fputs(text, stdout) < 0;
  golden = read_file(KETTE_LAYOUT);
  if (strcmp((const char*)golden.data, text) != 0) {
    fprintf(stderr, "layout.txt says\n%s\nthis compiler says\n%s\n", (const char*)golden.data, text);
    ++failures;
  }
  free(golden.data);
  return failures != 0;
}
