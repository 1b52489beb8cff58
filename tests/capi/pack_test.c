/* kette_model_params.pack_dir and plan_context. */
#define _GNU_SOURCE
#include <dirent.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "kette-pack-XXXXXX";

static int count_files(void) {
  int n = 0;
  struct dirent* entry;
  DIR* dir = opendir(folder);
  REQUIRE(dir != NULL);
  while ((entry = readdir(dir)) != NULL) n += entry->d_name[0] != '.';
  closedir(dir);
  return n;
}

static void empty_folder(void) {
  char path[512];
  struct dirent* entry;
  DIR* dir = opendir(folder);
  REQUIRE(dir != NULL);
  while ((entry = readdir(dir)) != NULL) {
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (entry->d_name[0] != '.') unlink(path);
  }
  closedir(dir);
}

static kette_status open_with(kette_runtime* runtime, kette_model_params* params, kette_model** out,
                              kette_error** error) {
  params->weight_type = "q8_0";
  return kette_model_open(runtime, KETTE_GOLDEN_DIR "/models/llama/hf", params, out, error);
}

static struct tokens answer(kette_model* model) {
  kette_session* session = new_session(model);
  const struct tokens out = generate_greedy(session, 12);
  kette_session_free(session);
  return out;
}

static void check_pack(kette_model* model, const char* state, const struct tokens* expected) {
  char wanted[64];
  kette_buf* info = NULL;
  const struct tokens found = answer(model);
  snprintf(wanted, sizeof wanted, "\"pack\":{\"state\":\"%s\"", state);
  CHECK_INT(kette_model_info(model, &info, NULL), KETTE_OK);
  if (strstr(kette_buf_data(info), wanted) == NULL) {
    fprintf(stderr, "no %s in %s\n", wanted, (const char*)kette_buf_data(info));
    ++failures;
  }
  CHECK(same_tokens(&found, expected));
  kette_buf_free(info);
  kette_model_unref(model);
}

static void test_states(kette_runtime* runtime) {
  kette_model* model = NULL;
  struct tokens expected;
  int64_t resident;
  SIZED(kette_model_params, params);
  CHECK_INT(open_with(runtime, &params, &model, NULL), KETTE_OK);
  expected = answer(model);
  resident = kette_model_get_i64(model, "resident_weight_bytes", -1);
  CHECK(resident > 0);
  kette_model_unref(model);
  params.pack_dir = ""; /* none */
  CHECK_INT(open_with(runtime, &params, &model, NULL), KETTE_OK);
  CHECK_INT(kette_model_get_i64(model, "resident_weight_bytes", -1), resident);
  kette_model_unref(model);
  params.pack_dir = folder;
  CHECK_INT(open_with(runtime, &params, &model, NULL), KETTE_OK);
  CHECK_INT(kette_model_get_i64(model, "resident_weight_bytes", -1), 0);
  check_pack(model, "written", &expected);
  CHECK_INT(open_with(runtime, &params, &model, NULL), KETTE_OK);
  CHECK_INT(kette_model_get_i64(model, "resident_weight_bytes", -1), 0);
  check_pack(model, "found", &expected);
  CHECK_INT(count_files(), 1);
  params.pack_dir = "/no/such/folder";
  CHECK_INT(open_with(runtime, &params, &model, NULL), KETTE_OK);
  CHECK_INT(kette_model_get_i64(model, "resident_weight_bytes", -1), resident);
  check_pack(model, "failed", &expected);
  empty_folder();
}

static int32_t trigger_late(void* user, uint64_t done, uint64_t total) {
  if (done > total / 2) kette_cancel_trigger(user);
  return 0;
}

static void test_cancel(kette_runtime* runtime) {
  kette_model* model = NULL;
  SIZED(kette_model_params, params);
  params.pack_dir = folder;
  params.cancel = kette_cancel_new();
  params.progress = trigger_late;
  params.progress_user = params.cancel;
  CHECK_FAILS(open_with(runtime, &params, &model, &error), KETTE_E_CANCELLED, "cancelled");
  CHECK(model == NULL);
  CHECK_INT(count_files(), 0);
  kette_cancel_unref(params.cancel);
}

static int32_t open_nothing(void* user, const char* name, void** file, uint64_t* size) {
  (void)user, (void)name, (void)file, (void)size;
  return 2;
}
static int64_t read_nothing(void* user, void* file, uint64_t offset, void* dst, size_t n) {
  (void)user, (void)file, (void)offset, (void)dst, (void)n;
  return -5;
}

static void test_refused(kette_runtime* runtime) {
  kette_model* model = NULL;
  struct bytes file = read_file(TINY);
  SIZED(kette_vfs, vfs);
  SIZED(kette_model_params, params);
  vfs.open = open_nothing;
  vfs.read_at = read_nothing;
  params.vfs = &vfs;
  params.pack_dir = folder;
  CHECK_FAILS(open_with(runtime, &params, &model, &error), KETTE_E_INVALID_ARGUMENT, "pack_dir");
  params.vfs = NULL;
  CHECK_FAILS(kette_model_open_memory(runtime, file.data, file.size, NULL, NULL, &params, &model, &error),
              KETTE_E_INVALID_ARGUMENT, "pack_dir");
  params.reserved = 1;
  CHECK_FAILS(open_with(runtime, &params, &model, &error), KETTE_E_INVALID_ARGUMENT, "reserved");
  CHECK(model == NULL);
  CHECK_INT(count_files(), 0);
  free(file.data);
}

static void test_plan(kette_runtime* runtime) {
  kette_model* model = NULL;
  kette_buf* json = NULL;
  SIZED(kette_model_params, params);
  params.plan_context = 777;
  params.memory_budget = 1000;
  CHECK_FAILS(open_with(runtime, &params, &model, &error), KETTE_E_BUDGET, "cache of 777 tokens");
  CHECK_INT(kette_model_probe(runtime, TINY, &params, &json, NULL), KETTE_OK);
  CHECK(strstr(kette_buf_data(json), "\"context\":777") != NULL);
  CHECK(strstr(kette_buf_data(json), "\"budget_bytes\":1000") != NULL);
  CHECK(strstr(kette_buf_data(json), "\"can_run\":false") != NULL);
  kette_buf_free(json);
  params.memory_budget = 0;
  CHECK_INT(kette_model_probe(runtime, TINY, &params, &json, NULL), KETTE_OK);
  CHECK(strstr(kette_buf_data(json), "\"can_run\":true") != NULL);
  kette_buf_free(json);
}

int main(void) {
  kette_runtime* runtime = new_runtime(1);
  REQUIRE(mkdtemp(folder) != NULL);
  test_states(runtime);
  test_cancel(runtime);
  test_refused(runtime);
  test_plan(runtime);
  kette_runtime_unref(runtime);
  CHECK_INT(rmdir(folder), 0);
  return failures != 0;
}
