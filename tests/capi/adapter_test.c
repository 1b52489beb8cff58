/* Group 11: adapters opened, attached and detached. */
#include <math.h>

#include "check.h"

#define ADAPTER KETTE_GOLDEN_DIR "/adapters/llama"
#define SECOND KETTE_GOLDEN_DIR "/adapters/llama_second.gguf"

static kette_adapter* open_adapter(kette_model* model, const char* path) {
  kette_adapter* adapter = NULL;
  REQUIRE(kette_adapter_open(model, path, NULL, &adapter, NULL) == KETTE_OK);
  REQUIRE(adapter != NULL);
  return adapter;
}

static void eval_prompt(kette_session* session, float* logits) {
  CHECK_INT(kette_session_eval(session, prompt, PROMPT_SIZE, logits, 1, NULL), KETTE_OK);
}

static void test_attach(kette_runtime* runtime) {
  static float before[TINY_VOCAB], with[TINY_VOCAB], both[TINY_VOCAB], after[TINY_VOCAB];
  kette_model* model = open_tiny(runtime, KETTE_MODEL_DETERMINISTIC);
  kette_adapter *first = open_adapter(model, ADAPTER), *second = open_adapter(model, SECOND);
  kette_session* session = new_session(model);
  struct tokens plain = generate_greedy(session, 8), adapted;
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  eval_prompt(session, before);
  CHECK_INT(kette_session_set_adapter(session, first, 1, NULL), KETTE_OK);
  CHECK_INT(kette_session_length(session), 0);
  eval_prompt(session, with);
  CHECK(memcmp(with, before, sizeof with) != 0);
  CHECK_INT(kette_session_set_adapter(session, second, 1, NULL), KETTE_OK);
  eval_prompt(session, both);
  CHECK(memcmp(with, both, sizeof with) != 0);
  CHECK_INT(kette_session_set_adapter(session, second, 0, NULL), KETTE_OK);
  eval_prompt(session, after);
  CHECK(memcmp(with, after, sizeof with) == 0);
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  adapted = generate_greedy(session, 8);
  CHECK(!same_tokens(&plain, &adapted));
  /* Under way: refused. */
  CHECK_INT(begin_greedy(session, 8, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_session_set_adapter(session, second, 1, NULL), KETTE_E_MISUSE);
  CHECK_INT(kette_session_clear_adapters(session, NULL), KETTE_E_MISUSE);
  CHECK_INT(kette_session_run(session, NULL, NULL, NULL), KETTE_OK);
  /* The session has references of its own; the model's last goes with it. */
  kette_adapter_ref(first);
  kette_adapter_unref(first);
  kette_adapter_unref(first);
  kette_adapter_unref(second);
  kette_model_unref(model);
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  eval_prompt(session, after);
  CHECK(memcmp(with, after, sizeof with) == 0);
  CHECK_INT(kette_session_clear_adapters(session, NULL), KETTE_OK);
  CHECK_INT(kette_session_length(session), 0);
  eval_prompt(session, after);
  CHECK(memcmp(before, after, sizeof before) == 0);
  kette_session_free(session);
}

static void test_refused(kette_runtime* runtime) {
  kette_model *model = open_tiny(runtime, 0), *other = open_tiny(runtime, 0);
  kette_adapter *adapter = open_adapter(model, ADAPTER), *none = NULL;
  kette_session *session = new_session(model), *another = new_session(other);
  SIZED(kette_model_params, params);
  params.cancel = kette_cancel_new();
  kette_cancel_trigger(params.cancel);
  CHECK_FAILS(kette_adapter_open(model, ADAPTER, &params, &none, &error), KETTE_E_CANCELLED, "cancelled");
  kette_cancel_unref(params.cancel);
  params.cancel = NULL;
  params.flags = 1u << 30;
  CHECK_INT(kette_adapter_open(model, ADAPTER, &params, &none, NULL), KETTE_E_INVALID_ARGUMENT);
  /* A model's flags, all of them, are no reason to refuse. */
  for (uint32_t flag = 1; flag <= KETTE_MODEL_NO_PREFIX_CACHE; flag <<= 1) {
    kette_adapter* flagged = NULL;
    params.flags = flag;
    CHECK_INT(kette_adapter_open(model, ADAPTER, &params, &flagged, NULL), KETTE_OK);
    kette_adapter_unref(flagged);
  }
  CHECK_FAILS(kette_adapter_open(model, "/no/such", NULL, &none, &error), KETTE_E_NOT_FOUND, "/no/such");
  CHECK_FAILS(kette_adapter_open(model, TINY, NULL, &none, &error), KETTE_E_UNSUPPORTED, "general.type");
  CHECK_FAILS(kette_adapter_open(model, KETTE_GOLDEN_DIR "/adapters/qwen3", NULL, &none, &error), KETTE_E_CORRUPT,
              "lora_B.weight");
  CHECK_INT(kette_adapter_open(NULL, ADAPTER, NULL, &none, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_adapter_open(model, NULL, NULL, &none, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_adapter_open(model, ADAPTER, NULL, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK(none == NULL);
  CHECK_FAILS(kette_session_set_adapter(another, adapter, 1, &error), KETTE_E_INVALID_ARGUMENT, "another model");
  CHECK_INT(kette_session_set_adapter(session, adapter, NAN, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_set_adapter(session, NULL, 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_set_adapter(NULL, adapter, 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_clear_adapters(NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  kette_adapter_ref(NULL);
  kette_adapter_unref(NULL);
  kette_adapter_unref(adapter);
  kette_session_free(session);
  kette_session_free(another);
  kette_model_unref(model);
  kette_model_unref(other);
}

/* An error or an adapter that computes, whatever the bytes. */
static const unsigned char* damaged;
static size_t damaged_size;
static int32_t open_damaged(void* user, const char* name, void** file, uint64_t* size) {
  (void)user;
  (void)name;
  *file = NULL;
  *size = damaged_size;
  return 0;
}
static int64_t read_damaged(void* user, void* file, uint64_t offset, void* dst, size_t n) {
  (void)user;
  (void)file;
  if (offset >= damaged_size) return 0;
  if (n > damaged_size - offset) n = damaged_size - (size_t)offset;
  memcpy(dst, damaged + offset, n);
  return (int64_t)n;
}
static void test_damage(kette_runtime* runtime) {
  struct bytes file = read_file(SECOND);
  kette_model* model = open_tiny(runtime, 0);
  kette_session* session = new_session(model);
  float logits[TINY_VOCAB];
  uint32_t random = 1;
  size_t at, opened = 0;
  int i;
  SIZED(kette_vfs, vfs);
  SIZED(kette_model_params, params);
  vfs.open = open_damaged;
  vfs.read_at = read_damaged;
  params.vfs = &vfs;
  damaged = file.data;
  for (i = 0; i < 1200; ++i) {
    kette_adapter* adapter = NULL;
    kette_error* error = NULL;
    kette_status status;
    random = random * 1664525u + 1013904223u;
    at = random % (i % 3 == 0 ? file.size : 900);
    damaged_size = i % 5 == 0 ? at : file.size;
    file.data[at] ^= (unsigned char)(1u << (random >> 29));
    status = kette_adapter_open(model, "in.gguf", &params, &adapter, &error);
    CHECK((status == KETTE_OK) == (adapter != NULL) && (status < 0) == (error != NULL));
    if (adapter != NULL) {
      ++opened;
      CHECK_INT(kette_session_set_adapter(session, adapter, 1, NULL), KETTE_OK);
      CHECK(kette_session_eval(session, prompt, 3, logits, 1, NULL) <= 0);
      CHECK_INT(kette_session_clear_adapters(session, NULL), KETTE_OK);
    }
    file.data[at] ^= (unsigned char)(1u << (random >> 29));
    kette_adapter_unref(adapter);
    kette_error_free(error);
  }
  CHECK(opened > 50 && opened < 1100);
  kette_session_free(session);
  kette_model_unref(model);
  free(file.data);
}

int main(void) {
  kette_runtime* runtime = new_runtime(2);
  test_attach(runtime);
  test_refused(runtime);
  test_damage(runtime);
  kette_runtime_unref(runtime);
  return failures != 0;
}
