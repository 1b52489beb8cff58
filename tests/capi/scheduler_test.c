/* Group 11: many sessions as one batch; whose events are whose, who owns what, what is refused. */
#include <pthread.h>
#include <stddef.h>

#include "check.h"

#define SESSIONS 5
static kette_runtime* runtime;
static kette_model* model;

static kette_session* new_user_session(void* user) {
  kette_session* session = NULL;
  SIZED(kette_session_params, params);
  params.max_context = 128;
  params.user = user;
  REQUIRE(kette_session_new(model, &params, &session, NULL) == KETTE_OK);
  return session;
}

static kette_scheduler* new_scheduler(uint32_t max_batch) {
  kette_scheduler* scheduler = NULL;
  REQUIRE(kette_scheduler_new(model, max_batch, &scheduler, NULL) == KETTE_OK);
  return scheduler;
}

/* Events go to the struct tokens that each session has as its user. */
static void step_to_end(kette_scheduler* scheduler, uint32_t budget_us) {
  kette_status status = KETTE_MORE;
  while (status != KETTE_DONE) {
    SIZED(kette_event, event);
    kette_status polled;
    status = kette_scheduler_step(scheduler, budget_us, NULL);
    REQUIRE(status >= 0);
    while ((polled = kette_scheduler_poll(scheduler, &event, NULL)) == KETTE_OK) {
      CHECK(event.session != NULL && event.user != NULL && event.status == KETTE_OK);
      keep_token(event.user, &event);
    }
    CHECK_INT(polled, status);
    CHECK_INT(event.type, KETTE_EVENT_NONE);
    CHECK(event.session == NULL);
  }
}

static void test_batch(void) {
  struct tokens out[SESSIONS], expected[SESSIONS];
  kette_session *sessions[SESSIONS], *alone = new_session(model);
  int i, round;
  for (i = 0; i < SESSIONS; ++i) expected[i] = generate_greedy(alone, 3 + 4 * (uint32_t)i);
  for (round = 0; round < 2; ++round) {
    kette_scheduler* scheduler = new_scheduler(4);
    memset(out, 0, sizeof out);
    for (i = 0; i < SESSIONS; ++i) {
      sessions[i] = new_user_session(&out[i]);
      if (i % 2 == 0) CHECK_INT(kette_scheduler_add(scheduler, sessions[i], NULL), KETTE_OK);
      CHECK_INT(begin_greedy(sessions[i], 3 + 4 * (uint32_t)i, NULL, NULL), KETTE_OK);
      if (i % 2 != 0) CHECK_INT(kette_scheduler_add(scheduler, sessions[i], NULL), KETTE_OK);
    }
    step_to_end(scheduler, round == 0 ? 0 : 300);
    for (i = 0; i < SESSIONS; ++i) {
      CHECK(same_tokens(&out[i], &expected[i]));
      CHECK_INT(out[i].finish, KETTE_FINISH_LENGTH);
    }
    /* Whoever goes first: the scheduler, or its sessions. */
    if (round == 0) kette_scheduler_free(scheduler);
    for (i = 0; i < SESSIONS; ++i) kette_session_free(sessions[i]);
    if (round != 0) {
      CHECK_INT(kette_scheduler_step(scheduler, 0, NULL), KETTE_DONE);
      kette_scheduler_free(scheduler);
    }
  }
  kette_session_free(alone);
}

static void test_leaving(void) {
  struct tokens out[3], rest;
  kette_session* sessions[3];
  kette_scheduler* scheduler = new_scheduler(8);
  SIZED(kette_event, event);
  int i;
  memset(out, 0, sizeof out);
  memset(&rest, 0, sizeof rest);
  for (i = 0; i < 3; ++i) {
    sessions[i] = new_user_session(&out[i]);
    CHECK_INT(kette_scheduler_add(scheduler, sessions[i], NULL), KETTE_OK);
  }
  for (i = 0; i < 3; ++i) CHECK_INT(begin_greedy(sessions[i], 20, NULL, NULL), KETTE_OK);
  for (i = 0; i < 40; ++i) CHECK_INT(kette_scheduler_step(scheduler, 1, NULL), KETTE_MORE);
  /* In the midst of a pass one is freed and one goes on alone, with its events. */
  kette_session_free(sessions[0]);
  CHECK_INT(kette_scheduler_remove(scheduler, sessions[1], NULL), KETTE_OK);
  CHECK_INT(kette_session_run(sessions[1], keep_token, &rest, NULL), KETTE_OK);
  step_to_end(scheduler, 0);
  CHECK_INT(rest.n, 20);
  CHECK(same_tokens(&rest, &out[2]));
  /* Events that were not fetched go with the session. */
  CHECK_INT(kette_scheduler_add(scheduler, sessions[1], NULL), KETTE_OK);
  CHECK_INT(begin_greedy(sessions[1], 2, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_scheduler_step(scheduler, 0, NULL), KETTE_MORE);
  kette_session_free(sessions[1]);
  CHECK_INT(kette_scheduler_poll(scheduler, &event, NULL), KETTE_DONE);
  kette_scheduler_free(scheduler);
  kette_scheduler_free(NULL);
  kette_session_free(sessions[2]);
}

static void test_refused(void) {
  kette_scheduler *scheduler = NULL, *other = new_scheduler(1);
  kette_model* second = open_tiny(runtime, 0);
  kette_session *session = new_session(model), *stranger = new_session(second);
  SIZED(kette_event, event);
  CHECK_FAILS(kette_scheduler_new(model, 0, &scheduler, &error), KETTE_E_INVALID_ARGUMENT, "max_batch");
  CHECK_FAILS(kette_scheduler_new(model, 65, &scheduler, &error), KETTE_E_INVALID_ARGUMENT, "64");
  CHECK_INT(kette_scheduler_new(NULL, 4, &scheduler, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_scheduler_new(model, 4, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK(scheduler == NULL);
  scheduler = new_scheduler(4);
  CHECK_INT(kette_scheduler_add(NULL, session, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_scheduler_add(scheduler, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_scheduler_remove(scheduler, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_scheduler_step(NULL, 0, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_scheduler_poll(NULL, &event, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_scheduler_poll(scheduler, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  event.struct_size = 3;
  CHECK_INT(kette_scheduler_poll(scheduler, &event, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_FAILS(kette_scheduler_add(scheduler, stranger, &error), KETTE_E_INVALID_ARGUMENT, "model");
  CHECK_INT(kette_scheduler_add(scheduler, session, NULL), KETTE_OK);
  CHECK_FAILS(kette_scheduler_add(other, session, &error), KETTE_E_MISUSE, "another scheduler");
  CHECK_FAILS(kette_scheduler_remove(other, session, &error), KETTE_E_MISUSE, "not in this scheduler");
  CHECK_INT(kette_session_step(session, 0, NULL), KETTE_DONE);
  CHECK_INT(begin_greedy(session, 4, NULL, NULL), KETTE_OK);
  CHECK_FAILS(kette_session_step(session, 0, &error), KETTE_E_MISUSE, "scheduler");
  CHECK_FAILS(kette_session_run(session, NULL, NULL, &error), KETTE_E_MISUSE, "scheduler");
  kette_scheduler_free(scheduler); /* leaves it as it is */
  CHECK_INT(kette_session_run(session, NULL, NULL, NULL), KETTE_OK);
  kette_scheduler_free(other);
  kette_session_free(session);
  kette_session_free(stranger);
  kette_model_unref(second);
}

static int32_t count(void* user, const kette_event* event) {
  (void)event;
  ++*(int*)user;
  return 0;
}

/* What is refused takes no events; who knows a smaller kette_event gets as much of it. */
static void test_events_stay(void) {
  kette_scheduler* scheduler = new_scheduler(4);
  kette_session* session = new_session(model);
  struct {
    kette_event event;
    unsigned char behind[8];
  } given;
  const uint32_t small = offsetof(kette_event, session);
  int calls = 0;
  size_t i;
  CHECK_INT(kette_scheduler_add(scheduler, session, NULL), KETTE_OK);
  CHECK_INT(begin_greedy(session, 4, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_scheduler_step(scheduler, 0, NULL), KETTE_MORE);
  CHECK_INT(kette_session_run(session, count, &calls, NULL), KETTE_E_MISUSE);
  CHECK_INT(calls, 0);
  memset(&given, 0xa5, sizeof given);
  given.event.struct_size = small;
  CHECK_INT(kette_scheduler_poll(scheduler, &given.event, NULL), KETTE_OK);
  CHECK_INT(given.event.struct_size, small);
  CHECK_INT(given.event.index, 1);
  for (i = small; i < sizeof given; ++i) CHECK_INT(((unsigned char*)&given)[i], 0xa5);
  CHECK_INT(kette_scheduler_remove(scheduler, session, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, count, &calls, NULL), KETTE_OK);
  CHECK_INT(calls, 4); /* three tokens and the end */
  kette_session_free(session);
  kette_scheduler_free(scheduler);
}

/* A call on a session, from another thread, while its scheduler is in a step. */
struct meddler {
  kette_session* session;
  int busy, stop;
};
static void* meddle(void* argument) {
  struct meddler* m = argument;
  while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
    SIZED(kette_event, event);
    const kette_status status = kette_session_poll(m->session, &event, NULL);
    if (status == KETTE_E_BUSY) __atomic_store_n(&m->busy, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}
static void test_busy(void) {
  kette_scheduler* scheduler = new_scheduler(4);
  kette_session *one = new_session(model), *two = new_session(model);
  struct meddler m = {one, 0, 0};
  pthread_t thread;
  long tries;
  CHECK_INT(kette_scheduler_add(scheduler, one, NULL), KETTE_OK);
  CHECK_INT(kette_scheduler_add(scheduler, two, NULL), KETTE_OK);
  REQUIRE(pthread_create(&thread, NULL, meddle, &m) == 0);
  for (tries = 0; tries < 100000 && !__atomic_load_n(&m.busy, __ATOMIC_ACQUIRE); ++tries) {
    begin_greedy(two, 8, NULL, NULL);
    kette_scheduler_step(scheduler, 0, NULL);
  }
  __atomic_store_n(&m.stop, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  CHECK(m.busy);
  kette_session_free(one);
  kette_session_free(two);
  kette_scheduler_free(scheduler);
}

/* A host's allocator that has no memory, once, for the next page of a KV cache. */
static int refuse;
static void* take(void* user, size_t n, size_t align, uint32_t tag) {
  (void)user;
  if (refuse && tag == KETTE_MEMORY_KV_CACHE) {
    refuse = 0;
    return NULL;
  }
  return aligned_alloc(align, (n + align - 1) / align * align);
}
static void give(void* user, void* p, size_t n, size_t align, uint32_t tag) {
  (void)user, (void)n, (void)align, (void)tag;
  free(p);
}
static void test_failed(void) {
  kette_runtime* tight = NULL;
  kette_model* own;
  kette_session* sessions[2];
  kette_scheduler* scheduler = NULL;
  kette_status status = KETTE_MORE;
  int failed = 0, done = 0, i;
  SIZED(kette_allocator, allocator);
  SIZED(kette_runtime_params, params);
  allocator.alloc = take;
  allocator.free_ = give;
  params.allocator = &allocator;
  params.n_threads = 1;
  REQUIRE(kette_runtime_new(&params, &tight, NULL) == KETTE_OK);
  own = open_tiny(tight, KETTE_MODEL_DETERMINISTIC);
  REQUIRE(kette_scheduler_new(own, 2, &scheduler, NULL) == KETTE_OK);
  for (i = 0; i < 2; ++i) {
    sessions[i] = new_session(own);
    CHECK_INT(kette_scheduler_add(scheduler, sessions[i], NULL), KETTE_OK);
    CHECK_INT(begin_greedy(sessions[i], 60, NULL, NULL), KETTE_OK);
  }
  for (i = 0; i < 6; ++i) CHECK_INT(kette_scheduler_step(scheduler, 0, NULL), KETTE_MORE);
  refuse = 1; /* for whoever is first past 64 tokens */
  while (status != KETTE_DONE) {
    SIZED(kette_event, event);
    status = kette_scheduler_step(scheduler, 0, NULL);
    REQUIRE(status >= 0);
    while (kette_scheduler_poll(scheduler, &event, NULL) == KETTE_OK) {
      done += event.type == KETTE_EVENT_DONE;
      if (event.type != KETTE_EVENT_FAILED) continue;
      ++failed;
      CHECK_INT(event.status, KETTE_E_OUT_OF_MEMORY);
      CHECK(strstr(event.text, "memory") != NULL && event.index > 40 && event.user == NULL);
      CHECK_INT(kette_session_length(event.session), 64);
      /* It is as good as before. */
      CHECK_INT(begin_greedy(event.session, 2, NULL, NULL), KETTE_OK);
    }
  }
  CHECK_INT(failed, 1);
  CHECK_INT(done, 2);
  for (i = 0; i < 2; ++i) kette_session_free(sessions[i]);
  kette_scheduler_free(scheduler);
  kette_model_unref(own);
  kette_runtime_unref(tight);
}

int main(void) {
  runtime = new_runtime(2);
  model = open_tiny(runtime, KETTE_MODEL_DETERMINISTIC);
  CHECK_INT(kette_has_feature("scheduler"), 1);
  test_batch();
  test_leaving();
  test_refused();
  test_events_stay();
  test_busy();
  test_failed();
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
