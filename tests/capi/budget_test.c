/* Steps with a budget: the same tokens however often the work stops inside layers, in every mode. */
#include "check.h"

/* Generate by steps of budget_us from n tokens; the steps it took. */
static long by_steps(kette_session* session, const kette_token* ids, size_t n, uint32_t max_tokens, uint32_t budget_us,
                     struct tokens* out) {
  long steps = 0;
  SIZED(kette_sampling, greedy);
  SIZED(kette_gen_params, params);
  greedy.set = KETTE_SET_TEMPERATURE;
  params.sampling = &greedy;
  params.flags = KETTE_GENERATE_IGNORE_EOS;
  params.max_tokens = max_tokens;
  memset(out, 0, sizeof *out);
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  CHECK_INT(kette_session_begin_tokens(session, ids, n, &params, NULL), KETTE_OK);
  for (;;) {
    SIZED(kette_event, event);
    kette_status status;
    while ((status = kette_session_poll(session, &event, NULL)) == KETTE_OK) keep_token(out, &event);
    if (status == KETTE_DONE) return steps;
    status = kette_session_step(session, budget_us, NULL);
    CHECK(status == KETTE_MORE || status == KETTE_DONE);
    if (status < 0 || ++steps > 2000000) exit(1);
  }
}

static void test_same(int32_t n_threads, uint32_t flags) {
  static const uint32_t budgets[] = {1, 20, 300};
  kette_runtime* runtime = new_runtime(n_threads);
  kette_model* model = open_tiny(runtime, flags);
  kette_session* session = new_session(model);
  kette_token ids[200];
  struct tokens whole, parts;
  size_t i;
  for (i = 0; i < 200; ++i) ids[i] = (kette_token)(i * i % TINY_VOCAB);
  by_steps(session, ids, 200, 6, 0, &whole);
  CHECK_INT(whole.n, 6);
  for (i = 0; i < 3; ++i) {
    const long steps = by_steps(session, ids, 200, 6, budgets[i], &parts);
    CHECK(same_tokens(&whole, &parts));
    if (budgets[i] == 1) CHECK(steps > 100); /* it did stop inside layers */
  }
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
}

int main(void) {
  int32_t n_threads;
  for (n_threads = 1; n_threads <= 3; n_threads += 2) {
    test_same(n_threads, 0);
    test_same(n_threads, KETTE_MODEL_EXACT);
    test_same(n_threads, KETTE_MODEL_DETERMINISTIC);
  }
  return failures != 0;
}
