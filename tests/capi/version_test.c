/* Groups 1 and 2: version, features, the function table, errors as values. */
#include <kette/api.h>

#include "check.h"

static void test_version(void) {
  const char* info = kette_build_info();
  CHECK_INT(kette_version(), KETTE_VERSION);
  CHECK(info[0] == '{' && info[strlen(info) - 1] == '}');
  CHECK(strstr(info, "\"git_revision\"") && strstr(info, "\"compiler\"") && strstr(info, "\"onednn\"") &&
        strstr(info, "avx512"));
  CHECK_INT(kette_has_feature("gguf"), 1);
  CHECK_INT(kette_has_feature("no such feature"), 0);
  CHECK_INT(kette_has_feature(NULL), 0);
  CHECK_INT(kette_struct_size("kette_event"), sizeof(kette_event));
  CHECK_INT(kette_struct_size("kette_api"), sizeof(kette_api));
  CHECK_INT(kette_struct_size("kette_session"), 0); /* opaque */
  CHECK_INT(kette_struct_size(NULL), 0);
}

static void test_table(void) {
  const kette_api* api = kette_get_api(KETTE_VERSION);
  kette_runtime* runtime = NULL;
  REQUIRE(api != NULL);
  CHECK_INT(api->size, sizeof *api);
  CHECK_INT(api->library_version, kette_version());
  CHECK(api->version == &kette_version);
  CHECK(api->buf_free == &kette_buf_free); /* the last */
  CHECK_INT(api->runtime_new(NULL, &runtime, NULL), KETTE_OK);
  api->runtime_unref(runtime);
  CHECK(kette_get_api(0x00000100) == api); /* 0.1.0 */
  CHECK(kette_get_api(KETTE_VERSION + 1) == NULL);
  CHECK(kette_get_api(KETTE_VERSION + 0x100) == NULL);
  CHECK(kette_get_api(0) == NULL);
  CHECK(kette_get_api(0x00010000) == NULL);
  CHECK(kette_get_experimental("anything_since_1") == NULL);
  CHECK(kette_get_experimental(NULL) == NULL);
  CHECK(kette_get_experimental("session_profile_since_0.0") == NULL);
}

static void test_errors(void) {
  kette_status status;
  kette_runtime* runtime = new_runtime(1);
  kette_model* model = NULL;
  kette_error* error = NULL;
  char path[2000];
  for (status = -21; status <= 2; ++status) CHECK(strncmp(kette_status_name(status), "KETTE_", 6) == 0);
  CHECK(kette_status_name(-22) != NULL && kette_status_name(INT32_MIN) != NULL);
  CHECK_INT(kette_error_code(NULL), KETTE_OK);
  CHECK(kette_error_message(NULL)[0] == 0);
  CHECK_INT(kette_error_os_code(NULL), 0);
  kette_error_free(NULL);
  kette_buf_free(NULL);
  CHECK(kette_buf_data(NULL) == NULL);
  CHECK_INT(kette_buf_size(NULL), 0);

  CHECK_INT(kette_model_open(runtime, "/no/such/file", NULL, &model, &error), KETTE_E_NOT_FOUND);
  CHECK_INT(kette_error_code(error), KETTE_E_NOT_FOUND);
  CHECK_INT(kette_error_os_code(error), 2); /* ENOENT */
  CHECK(strstr(kette_error_message(error), "file") != NULL);
  kette_error_free(error);
  /* Text from outside comes cut and without control characters. */
  memset(path, 'x', sizeof path);
  memcpy(path, "/a\nb\033\x7f", 6);
  path[sizeof path - 1] = 0;
  error = NULL;
  CHECK(kette_model_open(runtime, path, NULL, &model, &error) < 0);
  CHECK(strlen(kette_error_message(error)) < 512);
  CHECK(strpbrk(kette_error_message(error), "\n\033\x7f") == NULL);
  kette_error_free(error);
  CHECK(model == NULL);
  /* Success leaves the error alone. */
  error = (kette_error*)&path;
  CHECK_INT(kette_model_open(runtime, TINY, NULL, &model, &error), KETTE_OK);
  CHECK(error == (kette_error*)&path);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
}

int main(void) {
  test_version();
  test_table();
  test_errors();
  return failures != 0;
}
