/* All functions of kette.h as one table, for hosts that load the library themselves:
 *
 *   void* library = dlopen("libkette.so", RTLD_NOW | RTLD_LOCAL);
 *   const void* (*get)(uint32_t) = (const void* (*)(uint32_t))dlsym(library, "kette_get_api");
 *   const kette_api* kette = get(KETTE_VERSION);
 *   if (kette != NULL) kette->runtime_new(NULL, &runtime, NULL);
 *
 * A function that is newer than the library's table lies past `size`: ask for its version, or compare. */
#ifndef KETTE_API_H
#define KETTE_API_H
#include "kette/kette.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kette_api {
  uint32_t size;            /* bytes of the library's table */
  uint32_t library_version; /* kette_version() */
  uint32_t (*version)(void);
  const char* (*build_info)(void);
  int32_t (*has_feature)(const char* name);
  uint32_t (*struct_size)(const char* name);
  const void* (*get_api)(uint32_t min_version);
  kette_function (*get_experimental)(const char* name_since);
  kette_status (*error_code)(const kette_error* e);
  const char* (*error_message)(const kette_error* e);
  int64_t (*error_os_code)(const kette_error* e);
  void (*error_free)(kette_error* e);
  const char* (*status_name)(kette_status s);
  kette_status (*runtime_new)(const kette_runtime_params* params, kette_runtime** out, kette_error** err);
  void (*runtime_ref)(kette_runtime* runtime);
  void (*runtime_unref)(kette_runtime* runtime);
  kette_status (*runtime_describe_cpu)(const kette_runtime* runtime, kette_buf** json, kette_error** err);
  kette_cancel* (*cancel_new)(void);
  void (*cancel_trigger)(kette_cancel* cancel);
  void (*cancel_reset)(kette_cancel* cancel);
  void (*cancel_unref)(kette_cancel* cancel);
  kette_status (*model_open)(kette_runtime* runtime, const char* utf8_path, const kette_model_params* params,
                             kette_model** out, kette_error** err);
  kette_status (*model_open_memory)(kette_runtime* runtime, const void* data, size_t n, void (*release)(void* user),
                                    void* release_user, const kette_model_params* params, kette_model** out,
                                    kette_error** err);
  kette_status (*model_probe)(kette_runtime* runtime, const char* utf8_path, const kette_model_params* params,
                              kette_buf** json, kette_error** err);
  void (*model_ref)(kette_model* model);
  void (*model_unref)(kette_model* model);
  kette_status (*model_info)(const kette_model* model, kette_buf** json, kette_error** err);
  int64_t (*model_get_i64)(const kette_model* model, const char* key, int64_t fallback);
  kette_status (*tokenize)(const kette_model* model, const char* text, size_t n, uint32_t flags, kette_token* out,
                           size_t cap, size_t* needed, kette_error** err);
  kette_status (*detokenize)(const kette_model* model, const kette_token* tokens, size_t n, uint32_t flags, char* out,
                             size_t cap, size_t* needed, kette_error** err);
  kette_status (*chat_new)(kette_model* model, kette_chat** out, kette_error** err);
  kette_status (*chat_add)(kette_chat* chat, const char* role, const char* text, size_t n, kette_error** err);
  kette_status (*chat_add_json)(kette_chat* chat, const char* json, size_t n, kette_error** err);
  kette_status (*chat_set_tools_json)(kette_chat* chat, const char* json, size_t n, kette_error** err);
  kette_status (*chat_set_variables_json)(kette_chat* chat, const char* json, size_t n, kette_error** err);
  kette_status (*chat_set_now)(kette_chat* chat, const char* iso8601, size_t n, kette_error** err);
  kette_status (*chat_render)(const kette_chat* chat, uint32_t flags, kette_buf** text, kette_error** err);
  void (*chat_free)(kette_chat* chat);
  kette_status (*grammar_new)(const kette_model* model, const char* kind, const char* src, size_t n,
                              kette_grammar** out, kette_error** err);
  void (*grammar_ref)(kette_grammar* grammar);
  void (*grammar_unref)(kette_grammar* grammar);
  kette_status (*session_new)(kette_model* model, const kette_session_params* params, kette_session** out,
                              kette_error** err);
  kette_status (*session_fork)(const kette_session* session, kette_session** out, kette_error** err);
  void (*session_free)(kette_session* session);
  kette_status (*session_begin_chat)(kette_session* session, const kette_chat* chat, const kette_gen_params* params,
                                     kette_error** err);
  kette_status (*session_begin_tokens)(kette_session* session, const kette_token* tokens, size_t n,
                                       const kette_gen_params* params, kette_error** err);
  kette_status (*session_step)(kette_session* session, uint32_t budget_us, kette_error** err);
  kette_status (*session_poll)(kette_session* session, kette_event* event, kette_error** err);
  kette_status (*session_run)(kette_session* session, kette_on_event on_event, void* user, kette_error** err);
  kette_status (*session_answer)(const kette_session* session, kette_buf** json, kette_error** err);
  kette_status (*session_eval)(kette_session* session, const kette_token* tokens, size_t n, float* logits, size_t rows,
                               kette_error** err);
  kette_status (*session_rewind)(kette_session* session, uint32_t n_tokens, kette_error** err);
  kette_status (*session_save)(const kette_session* session, kette_buf** out, kette_error** err);
  kette_status (*session_save_file)(const kette_session* session, const char* utf8_path, kette_error** err);
  kette_status (*session_load)(kette_session* session, const void* data, size_t n, kette_error** err);
  kette_status (*session_load_file)(kette_session* session, const char* utf8_path, kette_error** err);
  uint32_t (*session_length)(const kette_session* session);
  uint32_t (*session_capacity)(const kette_session* session);
  kette_status (*session_metrics)(const kette_session* session, kette_metrics* out, kette_error** err);
  kette_status (*scheduler_new)(kette_model* model, uint32_t max_batch, kette_scheduler** out, kette_error** err);
  kette_status (*scheduler_add)(kette_scheduler* scheduler, kette_session* session, kette_error** err);
  kette_status (*scheduler_remove)(kette_scheduler* scheduler, kette_session* session, kette_error** err);
  kette_status (*scheduler_step)(kette_scheduler* scheduler, uint32_t budget_us, kette_error** err);
  kette_status (*scheduler_poll)(kette_scheduler* scheduler, kette_event* event, kette_error** err);
  void (*scheduler_free)(kette_scheduler* scheduler);
  kette_status (*adapter_open)(kette_model* model, const char* utf8_path, const kette_model_params* params,
                               kette_adapter** out, kette_error** err);
  void (*adapter_ref)(kette_adapter* adapter);
  void (*adapter_unref)(kette_adapter* adapter);
  kette_status (*session_set_adapter)(kette_session* session, kette_adapter* adapter, float scale, kette_error** err);
  kette_status (*session_clear_adapters)(kette_session* session, kette_error** err);
  kette_status (*embed)(const kette_model* model, const char* const* texts, const size_t* lens, size_t n,
                        uint32_t pooling, kette_cancel* cancel, float* out, size_t cap, size_t* needed,
                        kette_error** err);
  const void* (*buf_data)(const kette_buf* buf);
  size_t (*buf_size)(const kette_buf* buf);
  void (*buf_free)(kette_buf* buf);
} kette_api;

#ifdef __cplusplus
}
#endif
#endif
