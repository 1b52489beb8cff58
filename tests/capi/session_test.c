/* Group 10: evaluating, generating, going back, forking; what is refused changes nothing. */
#include "check.h"

static kette_runtime* runtime;
static kette_model* model;

static void test_eval(void) {
  static float all[PROMPT_SIZE][TINY_VOCAB], part[PROMPT_SIZE][TINY_VOCAB], last[TINY_VOCAB];
  kette_session* session = new_session(model);
  const kette_token wrong[2] = {5, TINY_VOCAB};
  CHECK_INT(kette_session_length(session), 0);
  CHECK(kette_session_capacity(session) > PROMPT_SIZE);
  CHECK_INT(kette_session_eval(session, prompt, PROMPT_SIZE, all[0], PROMPT_SIZE, NULL), KETTE_OK);
  CHECK_INT(kette_session_length(session), PROMPT_SIZE);
  /* Go back and on: the same numbers. */
  CHECK_INT(kette_session_rewind(session, 5, NULL), KETTE_OK);
  CHECK_INT(kette_session_eval(session, prompt + 5, PROMPT_SIZE - 5, part[0], 3, NULL), KETTE_OK);
  CHECK(memcmp(part[0], all[PROMPT_SIZE - 3], 3 * sizeof part[0]) == 0);
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  CHECK_INT(kette_session_eval(session, prompt, PROMPT_SIZE - 1, NULL, 0, NULL), KETTE_OK);
  CHECK_INT(kette_session_eval(session, prompt + PROMPT_SIZE - 1, 1, last, 1, NULL), KETTE_OK);
  CHECK(memcmp(last, all[PROMPT_SIZE - 1], sizeof last) == 0);
  /* Refused, without effect. */
  CHECK_FAILS(kette_session_eval(session, wrong, 2, last, 1, &error), KETTE_E_INVALID_ARGUMENT, "288");
  CHECK_INT(kette_session_eval(session, prompt, 2, last, 3, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_eval(session, prompt, 0, last, 0, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_eval(session, NULL, 2, last, 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_eval(session, prompt, 2, NULL, 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_eval(NULL, prompt, 2, last, 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_rewind(session, PROMPT_SIZE + 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_length(session), PROMPT_SIZE);
  kette_session_free(session);
  kette_session_free(NULL);
  CHECK_INT(kette_session_length(NULL), 0);
  CHECK_INT(kette_session_capacity(NULL), 0);
}

static void test_generate(void) {
  kette_session* session = new_session(model);
  struct tokens run, polled, again;
  SIZED(kette_metrics, metrics);
  run = generate_greedy(session, 8);
  CHECK_INT(run.n, 8);
  CHECK_INT(run.finish, KETTE_FINISH_LENGTH);
  CHECK_INT(kette_session_metrics(session, &metrics, NULL), KETTE_OK);
  CHECK_INT(metrics.prompt_tokens, PROMPT_SIZE);
  CHECK_INT(metrics.gen_tokens, 8);
  CHECK(metrics.kv_bytes > 0 && metrics.weight_bytes > 0 && metrics.scratch_bytes > 0);
  /* By hand, and from what the session holds. */
  memset(&polled, 0, sizeof polled);
  CHECK_INT(begin_greedy(session, 8, NULL, NULL), KETTE_OK);
  for (;;) {
    SIZED(kette_event, event);
    const kette_status status = kette_session_poll(session, &event, NULL);
    if (status == KETTE_DONE) break;
    if (status == KETTE_OK) keep_token(&polled, &event);
    if (status == KETTE_MORE) CHECK(kette_session_step(session, 0, NULL) >= 0);
  }
  CHECK(same_tokens(&run, &polled));
  CHECK_INT(kette_session_metrics(session, &metrics, NULL), KETTE_OK);
  CHECK_INT(metrics.cached_tokens, PROMPT_SIZE - 1);
  /* Nothing under way: done, not an error. */
  CHECK_INT(kette_session_step(session, 0, NULL), KETTE_DONE);
  CHECK_INT(kette_session_run(session, NULL, NULL, NULL), KETTE_OK);
  /* Under way: other beginnings and evals are out of order, the answer goes on. */
  CHECK_INT(begin_greedy(session, 8, NULL, NULL), KETTE_OK);
  CHECK_INT(begin_greedy(session, 8, NULL, NULL), KETTE_E_MISUSE);
  CHECK_INT(kette_session_eval(session, prompt, 1, NULL, 0, NULL), KETTE_E_MISUSE);
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_E_MISUSE);
  memset(&again, 0, sizeof again);
  CHECK_INT(kette_session_run(session, keep_token, &again, NULL), KETTE_OK);
  CHECK(same_tokens(&run, &again));
  kette_session_free(session);
}

static int32_t stop_at_third(void* user, const kette_event* event) {
  keep_token(user, event);
  return ((struct tokens*)user)->n == 3;
}

static void test_stops(void) {
  kette_session* session = new_session(model);
  const struct tokens all = generate_greedy(session, 8);
  struct tokens out;
  char text[64];
  const char* stop[2] = {"never at all", text};
  size_t size = 0, i;
  SIZED(kette_sampling, greedy);
  SIZED(kette_gen_params, params);
  greedy.set = KETTE_SET_TEMPERATURE;
  params.sampling = &greedy;
  params.flags = KETTE_GENERATE_IGNORE_EOS | KETTE_GENERATE_RAW_BYTES | KETTE_GENERATE_SHOW_SPECIAL;
  params.max_tokens = 8;
  /* A callback that says stop. */
  memset(&out, 0, sizeof out);
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, stop_at_third, &out, NULL), KETTE_OK);
  CHECK_INT(out.n, 3);
  CHECK_INT(kette_session_step(session, 0, NULL), KETTE_DONE);
  /* A token. */
  params.stop_tokens = &all.id[2];
  params.n_stop_tokens = 1;
  memset(&out, 0, sizeof out);
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
  for (i = 0; i < out.n; ++i) CHECK(out.id[i] != all.id[2]);
  CHECK(out.n <= 2);
  CHECK_INT(out.finish, KETTE_FINISH_STOP);
  /* The text of a token. */
  params.n_stop_tokens = 0;
  params.stop = stop;
  params.n_stop = 2;
  CHECK_INT(kette_detokenize(model, &all.id[3], 1, 0, text, sizeof text - 1, &size, NULL), KETTE_OK);
  text[size] = 0;
  if (size > 0 && strlen(text) == size) {
    memset(&out, 0, sizeof out);
    CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_OK);
    CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
    CHECK_INT(out.finish, KETTE_FINISH_STOP_STRING);
    CHECK(out.n <= 4);
  }
  /* Refused before anything happens. */
  stop[0] = "";
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_E_INVALID_ARGUMENT);
  stop[0] = NULL;
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_E_INVALID_ARGUMENT);
  params.stop = NULL;
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_E_INVALID_ARGUMENT);
  params.n_stop = 0;
  params.n_stop_tokens = 1;
  params.stop_tokens = NULL;
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_E_INVALID_ARGUMENT);
  params.n_stop_tokens = 0;
  greedy.temperature = -1;
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_E_INVALID_ARGUMENT);
  greedy.temperature = 0;
  greedy.n_bias = 1;
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_begin_tokens(session, prompt, 0, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_begin_chat(session, NULL, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  out = generate_greedy(session, 8);
  CHECK(same_tokens(&all, &out));
  kette_session_free(session);
}

static void test_fork(void) {
  kette_session *session = new_session(model), *copy = NULL, *third = NULL;
  struct tokens a, b, c;
  a = generate_greedy(session, 8);
  CHECK_INT(kette_session_fork(session, &copy, NULL), KETTE_OK);
  REQUIRE(copy != NULL);
  CHECK_INT(kette_session_length(copy), kette_session_length(session));
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK); /* each has its own */
  CHECK_INT(kette_session_eval(session, prompt + 3, 9, NULL, 0, NULL), KETTE_OK);
  b = generate_greedy(copy, 8);
  CHECK(same_tokens(&a, &b));
  CHECK_INT(begin_greedy(copy, 8, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_session_fork(copy, &third, NULL), KETTE_OK); /* its answer is not taken along */
  CHECK_INT(kette_session_step(third, 0, NULL), KETTE_DONE);
  kette_session_free(session);
  kette_session_free(copy);
  c = generate_greedy(third, 8);
  CHECK(same_tokens(&a, &c));
  kette_session_free(third);
  CHECK_INT(kette_session_fork(NULL, &third, NULL), KETTE_E_INVALID_ARGUMENT);
}

static void test_context(void) {
  kette_session* session = NULL;
  struct tokens out;
  SIZED(kette_session_params, params);
  params.max_context = PROMPT_SIZE + 3;
  params.kv_type = KETTE_KV_BF16;
  CHECK_INT(kette_session_new(model, &params, &session, NULL), KETTE_OK);
  REQUIRE(session != NULL);
  CHECK_INT(kette_session_capacity(session), PROMPT_SIZE + 3);
  out = generate_greedy(session, 0);
  CHECK_INT(out.finish, KETTE_FINISH_CONTEXT_FULL);
  CHECK_INT(out.n, 4); /* the last is chosen from the full context */
  CHECK_INT(kette_session_length(session), PROMPT_SIZE + 3);
  CHECK_FAILS(kette_session_eval(session, prompt, 1, NULL, 0, &error), KETTE_E_CONTEXT_FULL, "20");
  kette_session_free(session);
  {
    uint64_t bytes[KETTE_KV_Q8_0 + 1] = {0}; /* of one page */
    for (params.kv_type = KETTE_KV_F32; params.kv_type <= KETTE_KV_Q8_0; ++params.kv_type) {
      SIZED(kette_metrics, metrics);
      session = NULL;
      CHECK_INT(kette_session_new(model, &params, &session, NULL), KETTE_OK);
      REQUIRE(session != NULL);
      CHECK_INT(kette_session_eval(session, prompt, PROMPT_SIZE, NULL, 0, NULL), KETTE_OK);
      CHECK_INT(kette_session_metrics(session, &metrics, NULL), KETTE_OK);
      bytes[params.kv_type] = metrics.kv_bytes;
      kette_session_free(session);
    }
    CHECK(bytes[KETTE_KV_F16] > 0 && bytes[KETTE_KV_F32] == 2 * bytes[KETTE_KV_F16]);
    CHECK(bytes[KETTE_KV_BF16] == bytes[KETTE_KV_F16]);
    CHECK(bytes[KETTE_KV_Q8_0] % 34 == 0 && bytes[KETTE_KV_Q8_0] > 0);
  }
  params.max_context = UINT32_MAX;
  session = NULL;
  CHECK(kette_session_new(model, &params, &session, NULL) < 0);
  CHECK(session == NULL);
  CHECK_INT(kette_session_new(NULL, NULL, &session, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_new(model, NULL, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
}

/* Of 68 tokens, how many a second session takes from a first one of the model, opened with these flags. */
static uint64_t taken_by_second(uint32_t flags) {
  kette_token ids[4 * PROMPT_SIZE];
  kette_model* own = open_tiny(runtime, KETTE_MODEL_DETERMINISTIC | flags);
  kette_session *first = new_session(own), *second = new_session(own);
  struct tokens a, b;
  SIZED(kette_sampling, greedy);
  SIZED(kette_gen_params, params);
  SIZED(kette_metrics, metrics);
  size_t i;
  for (i = 0; i < 4 * PROMPT_SIZE; ++i) ids[i] = prompt[i % PROMPT_SIZE];
  greedy.set = KETTE_SET_TEMPERATURE;
  params.sampling = &greedy;
  params.max_tokens = 6;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  CHECK_INT(kette_session_begin_tokens(first, ids, 4 * PROMPT_SIZE, &params, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(first, keep_token, &a, NULL), KETTE_OK);
  CHECK_INT(kette_session_begin_tokens(second, ids, 4 * PROMPT_SIZE, &params, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(second, keep_token, &b, NULL), KETTE_OK);
  CHECK(same_tokens(&a, &b));
  CHECK_INT(kette_session_metrics(second, &metrics, NULL), KETTE_OK);
  kette_session_free(first);
  kette_session_free(second);
  kette_model_unref(own);
  return metrics.cached_tokens;
}

static void test_prefix_cache(void) {
  kette_model* none = NULL;
  SIZED(kette_model_params, params);
  CHECK_INT(taken_by_second(0), 64);
  CHECK_INT(taken_by_second(KETTE_MODEL_NO_PREFIX_CACHE), 0);
  params.flags = KETTE_MODEL_NO_PREFIX_CACHE;
  params.prefix_cache_bytes = 5;
  CHECK_FAILS(kette_model_open(runtime, TINY, &params, &none, &error), KETTE_E_INVALID_ARGUMENT,
              "prefix_cache_bytes: 5");
}

int main(void) {
  runtime = new_runtime(2);
  model = open_tiny(runtime, KETTE_MODEL_EXACT);
  test_eval();
  test_prefix_cache();
  test_generate();
  test_stops();
  test_fork();
  test_context();
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
