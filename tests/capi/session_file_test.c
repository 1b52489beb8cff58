/* Sessions saved and loaded: as bytes and as files; what cannot be taken is refused without effect. */
#define _GNU_SOURCE
#include <unistd.h>

#include "check.h"

static kette_runtime* runtime;
static kette_model* model;

static struct tokens go_on(kette_session* session) { return generate_greedy(session, 6); }

static void test_bytes(void) {
  kette_session *first = new_session(model), *second = new_session(model);
  kette_buf* saved = NULL;
  struct tokens expected, found;
  unsigned char* damaged;
  size_t n;
  CHECK_INT(kette_session_eval(first, prompt, PROMPT_SIZE - 1, NULL, 0, NULL), KETTE_OK);
  CHECK_INT(kette_session_save(first, &saved, NULL), KETTE_OK);
  REQUIRE(saved != NULL);
  n = kette_buf_size(saved);
  CHECK(n > 1000);
  expected = go_on(first);
  CHECK_INT(kette_session_load(second, kette_buf_data(saved), n, NULL), KETTE_OK);
  CHECK_INT(kette_session_length(second), PROMPT_SIZE - 1);
  found = go_on(second);
  CHECK(same_tokens(&expected, &found));
  /* Refused, without effect. */
  damaged = malloc(n);
  REQUIRE(damaged != NULL);
  memcpy(damaged, kette_buf_data(saved), n);
  damaged[n - 1] ^= 1;
  CHECK_FAILS(kette_session_load(second, damaged, n, &error), KETTE_E_CORRUPT, "checksum");
  CHECK_FAILS(kette_session_load(second, damaged, n - 1, &error), KETTE_E_CORRUPT, "bytes, expected");
  CHECK_FAILS(kette_session_load(second, "GGUF", 4, &error), KETTE_E_FORMAT, "4 bytes");
  CHECK_INT(kette_session_load(second, NULL, 0, NULL), KETTE_E_FORMAT);
  CHECK_INT(kette_session_load(second, NULL, 5, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_load(NULL, damaged, n, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_save(NULL, &saved, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_save(first, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_length(second), PROMPT_SIZE + 5);
  CHECK_INT(begin_greedy(second, 4, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_session_load(second, kette_buf_data(saved), n, NULL), KETTE_E_MISUSE);
  CHECK_FAILS(kette_session_save(second, &saved, &error), KETTE_E_MISUSE, "under way");
  free(damaged);
  kette_buf_free(saved);
  kette_session_free(first);
  kette_session_free(second);
}

static void test_files(void) {
  char folder[] = "/tmp/kette-session-XXXXXX", path[64];
  kette_session *first = new_session(model), *second = NULL;
  struct tokens expected, found;
  SIZED(kette_session_params, narrow);
  REQUIRE(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/talk.kette", folder);
  CHECK_INT(kette_session_eval(first, prompt, PROMPT_SIZE - 1, NULL, 0, NULL), KETTE_OK);
  CHECK_INT(kette_session_save_file(first, path, NULL), KETTE_OK);
  expected = go_on(first);
  second = new_session(model);
  CHECK_INT(kette_session_load_file(second, path, NULL), KETTE_OK);
  found = go_on(second);
  CHECK(same_tokens(&expected, &found));
  kette_session_free(second);
  narrow.max_context = 8;
  REQUIRE(kette_session_new(model, &narrow, &second, NULL) == KETTE_OK);
  CHECK_FAILS(kette_session_load_file(second, path, &error), KETTE_E_CONTEXT_FULL, "16 tokens, the session holds 8");
  kette_session_free(second);
  narrow.max_context = 0;
  narrow.kv_type = KETTE_KV_BF16;
  REQUIRE(kette_session_new(model, &narrow, &second, NULL) == KETTE_OK);
  CHECK_FAILS(kette_session_load_file(second, path, &error), KETTE_E_INVALID_ARGUMENT, "talk.kette");
  CHECK_FAILS(kette_session_load_file(second, TINY, &error), KETTE_E_FORMAT, "not a saved session");
  CHECK_FAILS(kette_session_load_file(second, "/no/such/file", &error), KETTE_E_NOT_FOUND, "file");
  CHECK_INT(kette_session_load_file(second, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_save_file(first, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_save_file(first, "/no/such/file", NULL), KETTE_E_NOT_FOUND);
  kette_session_free(second);
  kette_session_free(first);
  CHECK_INT(unlink(path), 0);
  CHECK_INT(rmdir(folder), 0); /* nothing else was left there */
}

int main(void) {
  runtime = new_runtime(2);
  model = open_tiny(runtime, KETTE_MODEL_DETERMINISTIC);
  test_bytes();
  test_files();
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
