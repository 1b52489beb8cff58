/* How far steps with a budget overrun it, on the demo model: prompt and answer. Times are told, not judged, except for
 * gross ones: other work may hold the CPU. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "check.h"

#ifdef KETTE_DEMO_MODEL
static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void test_overrun(const char* path) {
  static double over[200000];
  static kette_token ids[1024];
  kette_runtime* runtime = new_runtime(0);
  kette_model* model = NULL;
  kette_session* session;
  SIZED(kette_metrics, metrics);
  size_t i, n, needed = 0;
  uint32_t budget;
  char text[4096];
  CHECK_INT(kette_model_open(runtime, path, NULL, &model, NULL), KETTE_OK);
  REQUIRE(model != NULL);
  session = new_session(model);
  for (i = 0; i + 45 < sizeof text; i += 45) memcpy(text + i, "The quick brown fox jumps over the lazy dog. ", 45);
  CHECK_INT(kette_tokenize(model, text, i, 0, ids, 1024, &needed, NULL), KETTE_OK);
  CHECK(needed > 512);
  CHECK_INT(kette_session_eval(session, ids, needed, NULL, 0, NULL), KETTE_OK); /* everything warm */
  for (budget = 500; budget <= 4000; budget = budget == 500 ? 1500 : budget == 1500 ? 4000 : 8000) {
    SIZED(kette_sampling, greedy);
    SIZED(kette_gen_params, params);
    kette_status status = KETTE_MORE;
    greedy.set = KETTE_SET_TEMPERATURE;
    params.sampling = &greedy;
    params.max_tokens = 32;
    params.flags = KETTE_GENERATE_IGNORE_EOS;
    CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
    CHECK_INT(kette_session_begin_tokens(session, ids, needed, &params, NULL), KETTE_OK);
    for (n = 0; status == KETTE_MORE && n < 200000; ++n) {
      const double start = now_us();
      status = kette_session_step(session, budget, NULL);
      over[n] = now_us() - start - budget;
    }
    CHECK_INT(status, KETTE_DONE);
    CHECK_INT(kette_session_metrics(session, &metrics, NULL), KETTE_OK);
    CHECK_INT(metrics.steps, n);
    qsort(over, n, sizeof over[0], compare);
    printf("budget %u us: %zu steps, overrun median %.0f us, p99 %.0f us, longest %.0f us, longest piece %llu us\n",
           budget, n, over[n / 2], over[n * 99 / 100], over[n - 1], (unsigned long long)metrics.quantum_max_us);
    CHECK(over[n / 10] < 1000);
    CHECK(metrics.step_overrun_max_us <= (uint64_t)(over[n - 1] + 1));
    kette_session_run(session, NULL, NULL, NULL);
  }
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
}

#endif

int main(void) {
#ifdef KETTE_DEMO_MODEL
  test_overrun(KETTE_DEMO_MODEL);
  return failures != 0;
#else
  printf("not measured: no demo model\n");
  return SKIPPED;
#endif
}
