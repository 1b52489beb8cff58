/* Group 6: the ways to open a model, what it says of itself, and files that are damaged. */
#include "check.h"

static void count(void* user) { ++*(int*)user; }

static int32_t watch(void* user, uint64_t done, uint64_t total) {
  uint64_t* seen = user;
  CHECK(done >= seen[0] && done <= total);
  seen[0] = done;
  seen[1] = total;
  return 0;
}
static int32_t refuse(void* user, uint64_t done, uint64_t total) {
  (void)user, (void)done, (void)total;
  return 1;
}
static int32_t trigger(void* user, uint64_t done, uint64_t total) {
  (void)done, (void)total;
  kette_cancel_trigger(user);
  return 0;
}

static void test_ways(kette_runtime* runtime) {
  struct bytes file = read_file(TINY);
  kette_model *mapped = open_tiny(runtime, 0), *copied = open_tiny(runtime, KETTE_MODEL_READ), *memory = NULL;
  kette_session* session;
  struct tokens a, b, c;
  int released = 0;
  CHECK_INT(kette_model_open_memory(runtime, file.data, file.size, count, &released, NULL, &memory, NULL), KETTE_OK);
  REQUIRE(memory != NULL);
  session = new_session(mapped);
  a = generate_greedy(session, 6);
  kette_session_free(session);
  session = new_session(copied);
  b = generate_greedy(session, 6);
  kette_session_free(session);
  session = new_session(memory);
  kette_model_ref(memory);
  kette_model_unref(memory);
  kette_model_unref(memory);
  c = generate_greedy(session, 6);
  CHECK_INT(a.n, 6);
  CHECK(same_tokens(&a, &b) && same_tokens(&a, &c));
  CHECK_INT(released, 0);
  kette_session_free(session);
  CHECK_INT(released, 1);
  /* A failing call releases too, whatever it fails for. */
  memory = NULL;
  CHECK_INT(kette_model_open_memory(runtime, file.data, 1000, count, &released, NULL, &memory, NULL), KETTE_E_CORRUPT);
  CHECK_INT(released, 2);
  CHECK_INT(kette_model_open_memory(runtime, NULL, 1000, count, &released, NULL, &memory, NULL),
            KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_open_memory(NULL, file.data, file.size, count, &released, NULL, &memory, NULL),
            KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_open_memory(runtime, file.data, file.size, count, &released, NULL, NULL, NULL),
            KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(released, 5);
  CHECK(memory == NULL);
  kette_model_unref(mapped);
  kette_model_unref(copied);
  kette_model_ref(NULL);
  kette_model_unref(NULL);
  free(file.data);
}

static void test_info(kette_runtime* runtime) {
  kette_buf *info = NULL, *probed = NULL;
  kette_model* model = open_tiny(runtime, KETTE_MODEL_DETERMINISTIC);
  CHECK_INT(kette_model_info(model, &info, NULL), KETTE_OK);
  CHECK(strstr(kette_buf_data(info), "\"mode\":\"deterministic\"") != NULL);
  CHECK(strstr(kette_buf_data(info), "\"architecture\"") != NULL);
  CHECK_INT(strlen(kette_buf_data(info)), kette_buf_size(info));
  CHECK_INT(kette_model_get_i64(model, "vocab_size", -1), TINY_VOCAB);
  CHECK_INT(kette_model_get_i64(model, "parameters", -1), 123200);
  CHECK_INT(kette_model_get_i64(model, "no such key", -7), -7);
  CHECK_INT(kette_model_get_i64(model, "architecture", -7), -7); /* no number */
  CHECK_INT(kette_model_get_i64(model, NULL, -7), -7);
  CHECK_INT(kette_model_get_i64(NULL, "vocab_size", -7), -7);
  CHECK_INT(kette_model_info(NULL, &info, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_info(model, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_probe(runtime, TINY, NULL, &probed, NULL), KETTE_OK);
  CHECK(strstr(kette_buf_data(probed), "\"parameters\":123200") != NULL);
  kette_buf_free(probed);
  probed = NULL;
  CHECK_INT(kette_model_probe(runtime, "/no/such/file", NULL, &probed, NULL), KETTE_E_NOT_FOUND);
  CHECK(probed == NULL);
  kette_buf_free(info);
  kette_model_unref(model);
}

static void test_params(kette_runtime* runtime) {
  kette_model* model = NULL;
  kette_session* session = NULL;
  uint64_t seen[2] = {0, 0};
  SIZED(kette_model_params, params);
  params.progress = watch;
  params.progress_user = seen;
  CHECK_INT(kette_model_open(runtime, TINY, &params, &model, NULL), KETTE_OK);
  CHECK(seen[1] > 0);
  CHECK_INT(seen[0], seen[1]);
  kette_model_unref(model);
  model = NULL;
  params.progress = refuse;
  CHECK_FAILS(kette_model_open(runtime, TINY, &params, &model, &error), KETTE_E_HOST, "stopped");
  params.cancel = kette_cancel_new();
  params.progress = trigger;
  params.progress_user = params.cancel;
  CHECK_FAILS(kette_model_open(runtime, TINY, &params, &model, &error), KETTE_E_CANCELLED, "cancelled");
  kette_cancel_unref(params.cancel);
  params.cancel = NULL;
  params.progress = NULL;
  params.memory_budget = 1000;
  CHECK_FAILS(kette_model_open(runtime, TINY, &params, &model, &error), KETTE_E_BUDGET, "1000");
  params.memory_budget = 0;
  params.weight_type = "no such type";
  CHECK(kette_model_open(runtime, TINY, &params, &model, NULL) < 0);
  params.weight_type = NULL;
  params.flags = KETTE_MODEL_EXACT | KETTE_MODEL_DETERMINISTIC;
  CHECK_INT(kette_model_open(runtime, TINY, &params, &model, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_open(runtime, NULL, NULL, &model, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_open(runtime, TINY, NULL, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_model_open(NULL, TINY, NULL, &model, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK(model == NULL);
  params.flags = KETTE_MODEL_VOCAB_ONLY;
  CHECK_INT(kette_model_open(runtime, TINY, &params, &model, NULL), KETTE_OK);
  CHECK_FAILS(kette_session_new(model, NULL, &session, &error), KETTE_E_MISUSE, "vocabulary");
  CHECK(session == NULL);
  kette_model_unref(model);
}

/* An error or, for damage that does no harm, a model that computes: never anything else. */
static void open_damaged(kette_runtime* runtime, const struct bytes* file, size_t size) {
  kette_model* model = NULL;
  kette_error* error = NULL;
  const kette_status status = kette_model_open_memory(runtime, file->data, size, NULL, NULL, NULL, &model, &error);
  CHECK((status == KETTE_OK) == (model != NULL) && (status < 0) == (error != NULL));
  if (model != NULL && kette_model_get_i64(model, "vocab_size", 0) == TINY_VOCAB) {
    float logits[TINY_VOCAB];
    kette_session* session = NULL;
    if (kette_session_new(model, NULL, &session, NULL) == KETTE_OK)
      CHECK(kette_session_eval(session, prompt, 3, logits, 1, NULL) <= 0);
    kette_session_free(session);
  }
  kette_error_free(error);
  kette_model_unref(model);
}

static void test_damage(kette_runtime* runtime) {
  struct bytes file = read_file(TINY), cut;
  size_t at;
  uint32_t random = 1;
  int i;
  /* Cut off anywhere; in a block of just that size, so that a tool sees reads beyond it. */
  for (at = 0; at < file.size; at += at < 400 ? 7 : 1 + file.size / 150) {
    cut.data = malloc(at + 1);
    REQUIRE(cut.data != NULL);
    memcpy(cut.data, file.data, at);
    cut.size = at;
    open_damaged(runtime, &cut, at);
    free(cut.data);
  }
  /* One bit wrong: in the header more often than in the weights. */
  for (i = 0; i < 600; ++i) {
    random = random * 1664525u + 1013904223u;
    at = i % 4 == 0 ? random % file.size : random % 20000 % file.size;
    file.data[at] ^= (unsigned char)(1u << (random >> 29));
    open_damaged(runtime, &file, file.size);
    file.data[at] ^= (unsigned char)(1u << (random >> 29));
  }
  free(file.data);
}

int main(void) {
  kette_runtime* runtime = new_runtime(1);
  test_ways(runtime);
  test_info(runtime);
  test_params(runtime);
  test_damage(runtime);
  kette_runtime_unref(runtime);
  return failures != 0;
}
