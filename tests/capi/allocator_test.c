/* A host's allocator: all large memory goes through it, and any one allocation may fail, without effect. */
#include <stdint.h>

#include "check.h"

struct memory {
  long taken, given, live_bytes, bytes[4];
  long fail_at; /* the n-th allocation fails, from 1; 0: none */
  int fail_on;  /* and all after it */
};

static void* take(void* user, size_t n, size_t align, uint32_t tag) {
  struct memory* m = user;
  void* p;
  ++m->taken;
  if (m->fail_at > 0 && (m->taken == m->fail_at || (m->fail_on && m->taken > m->fail_at))) return NULL;
  CHECK(n > 0 && align >= 16 && (align & (align - 1)) == 0 && tag >= 1 && tag <= 3);
  p = aligned_alloc(align, (n + align - 1) / align * align);
  if (p == NULL) exit(1);
  memset(p, 0xa5, n); /* nothing may rely on zeros */
  m->bytes[tag & 3] += (long)n;
  m->live_bytes += (long)n;
  return p;
}
static void give(void* user, void* p, size_t n, size_t align, uint32_t tag) {
  struct memory* m = user;
  (void)align, (void)tag;
  ++m->given;
  m->live_bytes -= (long)n;
  memset(p, 0xee, n);
  free(p);
}

/* Open, session, 8 tokens, trying again after each failure; each failure is an OUT_OF_MEMORY that changes nothing. */
static struct tokens scenario(struct memory* memory, long* failed) {
  struct tokens out;
  kette_runtime* runtime = NULL;
  kette_model* model = NULL;
  kette_session *session = NULL, *copy = NULL;
  kette_status status;
  SIZED(kette_allocator, allocator);
  SIZED(kette_runtime_params, params);
  SIZED(kette_model_params, reading);
  memset(&out, 0, sizeof out);
  *failed = 0;
  allocator.user = memory;
  allocator.alloc = take;
  allocator.free_ = give;
  params.allocator = &allocator;
  params.n_threads = 2;
  reading.flags = KETTE_MODEL_READ;
#define UNTIL_OK(call)                          \
  for (;;) {                                    \
    kette_error* error = NULL;                  \
    status = call;                              \
    if (status >= 0) break;                     \
    ++*failed;                                  \
    CHECK_INT(status, KETTE_E_OUT_OF_MEMORY);   \
    CHECK_INT(kette_error_code(error), status); \
    kette_error_free(error);                    \
    if (memory->fail_on) memory->fail_at = 0;   \
    if (*failed > 1000) exit(1);                \
  }
  UNTIL_OK(kette_runtime_new(&params, &runtime, &error));
  UNTIL_OK(kette_model_open(runtime, TINY, &reading, &model, &error));
  UNTIL_OK(kette_session_new(model, NULL, &session, &error));
  UNTIL_OK(begin_greedy(session, 8, NULL, &error));
  for (;;) {
    SIZED(kette_event, event);
    status = kette_session_poll(session, &event, NULL);
    if (status == KETTE_OK) keep_token(&out, &event);
    if (status == KETTE_DONE) break;
    if (status == KETTE_MORE) UNTIL_OK(kette_session_step(session, 0, &error));
  }
  UNTIL_OK(kette_session_fork(session, &copy, &error));
  CHECK_INT(kette_session_length(copy), kette_session_length(session));
  kette_session_free(copy);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  CHECK_INT(memory->live_bytes, 0);
  return out;
}

int main(void) {
  struct memory memory;
  struct tokens expected, found;
  long failed, allocations, n;
  int fail_on;
  memset(&memory, 0, sizeof memory);
  expected = scenario(&memory, &failed);
  allocations = memory.taken;
  CHECK_INT(expected.n, 8);
  CHECK_INT(failed, 0);
  CHECK_INT(memory.given, memory.taken);
  CHECK(memory.bytes[KETTE_MEMORY_WEIGHTS] > 50000);
  CHECK(memory.bytes[KETTE_MEMORY_KV_CACHE] > 0);
  CHECK(memory.bytes[KETTE_MEMORY_SCRATCH] > 0);
  CHECK(allocations > 10);
  for (fail_on = 0; fail_on <= 1; ++fail_on) {
    for (n = 1; n <= allocations; ++n) {
      memset(&memory, 0, sizeof memory);
      memory.fail_at = n;
      memory.fail_on = fail_on;
      found = scenario(&memory, &failed);
      CHECK_INT(failed, 1);
      CHECK(same_tokens(&expected, &found));
      if (failures != 0) {
        fprintf(stderr, "... with allocation %ld of %ld failing\n", n, allocations);
        return 1;
      }
    }
  }
  printf("%ld allocations, each failing once and for good\n", allocations);
  return failures != 0;
}
