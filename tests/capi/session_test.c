/* The C ABI from C: errors as values, struct growth, a model evaluated and continued. Exit status 0: all held. */
#include <kette/kette.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;
#define CHECK(condition)                                         \
  do {                                                           \
    if (!(condition)) {                                          \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition);    \
      ++failures;                                                \
    }                                                            \
  } while (0)

struct larger_params {
  kette_runtime_params known;
  uint64_t added;
};

static void test_structs(void) {
  kette_runtime* runtime = NULL;
  kette_error* error = NULL;
  struct larger_params larger;
  memset(&larger, 0, sizeof larger);
  larger.known.struct_size = sizeof larger;
  CHECK(kette_runtime_new(&larger.known, &runtime, &error) == KETTE_OK);
  kette_runtime_unref(runtime);
  runtime = NULL;
  larger.added = 1;
  CHECK(kette_runtime_new(&larger.known, &runtime, &error) == KETTE_E_STRUCT_TOO_NEW);
  CHECK(runtime == NULL);
  CHECK(error != NULL && strlen(kette_error_message(error)) > 0);
  kette_error_free(error);
  larger.known.struct_size = 0;
  CHECK(kette_runtime_new(&larger.known, &runtime, NULL) == KETTE_E_INVALID_ARGUMENT);
  CHECK(kette_struct_size("kette_event") == sizeof(kette_event));
  CHECK(kette_struct_size("nothing") == 0);
}

static void test_session(kette_runtime* runtime, const char* path) {
  kette_model_params params;
  kette_model* model = NULL;
  kette_session* session = NULL;
  const kette_token tokens[3] = {1, 2, 3};
  const kette_token wrong = -1;
  float once[288], again[288];
  memset(&params, 0, sizeof params);
  params.struct_size = sizeof params;
  params.flags = KETTE_MODEL_EXACT;
  CHECK(kette_model_open(runtime, path, &params, &model, NULL) == KETTE_OK);
  if (model == NULL) return;
  CHECK(kette_model_get_i64(model, "vocab_size", 0) == 288);
  CHECK(kette_session_new(model, NULL, &session, NULL) == KETTE_OK);
  kette_model_unref(model); /* the session keeps it alive */
  if (session == NULL) return;
  CHECK(kette_session_eval(session, &wrong, 1, once, 1, NULL) == KETTE_E_INVALID_ARGUMENT);
  CHECK(kette_session_length(session) == 0);
  CHECK(kette_session_eval(session, tokens, 3, once, 1, NULL) == KETTE_OK);
  CHECK(kette_session_rewind(session, 4, NULL) == KETTE_E_INVALID_ARGUMENT);
  CHECK(kette_session_rewind(session, 1, NULL) == KETTE_OK);
  CHECK(kette_session_eval(session, tokens + 1, 2, again, 1, NULL) == KETTE_OK);
  CHECK(memcmp(once, again, sizeof once) == 0);
  kette_session_free(session);
}

int main(int argc, char** argv) {
  kette_runtime* runtime = NULL;
  kette_model* model = NULL;
  const char* path = argc > 1 ? argv[1] : KETTE_GOLDEN_DIR "/models/llama/gguf/llama-Q4_0.gguf";
  test_structs();
  CHECK(kette_version() == KETTE_VERSION);
  CHECK(kette_runtime_new(NULL, &runtime, NULL) == KETTE_OK);
  CHECK(kette_model_open(runtime, "no such file", NULL, &model, NULL) < 0);
  CHECK(kette_model_open(runtime, NULL, NULL, &model, NULL) == KETTE_E_INVALID_ARGUMENT);
  test_session(runtime, path);
  kette_runtime_unref(runtime);
  return failures != 0;
}
