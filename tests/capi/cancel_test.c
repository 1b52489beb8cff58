/* Group 5: a flag set on another thread or in a signal handler ends the work soon, with the session as it was. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static kette_cancel* flag;
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static void* trigger_later(void* user) {
  usleep(*(useconds_t*)user);
  kette_cancel_trigger(flag);
  return NULL;
}
static void on_alarm(int number) {
  (void)number;
  kette_cancel_trigger(flag);
}

int main(void) {
  kette_runtime* runtime = new_runtime(2);
  /* Deterministic: tokens do not depend on what the session held before. */
  kette_model* model = open_tiny(runtime, KETTE_MODEL_DETERMINISTIC);
  kette_session* session = new_session(model);
  const struct tokens expected = generate_greedy(session, 16);
  struct tokens out;
  useconds_t delay;
  flag = kette_cancel_new();
  REQUIRE(flag != NULL);
  for (delay = 0; delay < 20000; delay = delay * 2 + 100) {
    pthread_t thread;
    double start;
    memset(&out, 0, sizeof out);
    kette_cancel_reset(flag);
    kette_session_rewind(session, 0, NULL);
    CHECK_INT(begin_greedy(session, 0, flag, NULL), KETTE_OK); /* until the context is full */
    CHECK_INT(pthread_create(&thread, NULL, trigger_later, &delay), 0);
    start = now();
    CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
    CHECK(now() - start < 5);
    pthread_join(thread, NULL);
    CHECK(out.finish == KETTE_FINISH_CANCELLED || out.finish == KETTE_FINISH_CONTEXT_FULL);
    /* The session holds whole tokens and goes on as if nothing had been. */
    CHECK(kette_session_length(session) <= kette_session_capacity(session));
    out = generate_greedy(session, 16);
    CHECK(same_tokens(&expected, &out));
  }
  /* Set before the beginning: nothing is worked. */
  kette_session_rewind(session, 0, NULL);
  memset(&out, 0, sizeof out);
  CHECK_INT(begin_greedy(session, 8, flag, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
  CHECK_INT(out.n, 0);
  CHECK_INT(out.finish, KETTE_FINISH_CANCELLED);
  CHECK_INT(kette_session_length(session), 0);
  /* From a signal handler; the flag may be freed once the answer has begun. */
  signal(SIGALRM, on_alarm);
  kette_cancel_reset(flag);
  memset(&out, 0, sizeof out);
  CHECK_INT(begin_greedy(session, 0, flag, NULL), KETTE_OK);
  ualarm(3000, 0);
  CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
  CHECK(out.finish == KETTE_FINISH_CANCELLED || out.finish == KETTE_FINISH_CONTEXT_FULL);
  ualarm(0, 0);
  kette_cancel_reset(flag);
  CHECK_INT(begin_greedy(session, 4, flag, NULL), KETTE_OK);
  kette_cancel_unref(flag);
  CHECK_INT(kette_session_run(session, NULL, NULL, NULL), KETTE_OK);
  kette_cancel_trigger(NULL);
  kette_cancel_reset(NULL);
  kette_cancel_unref(NULL);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
