/* Group 4 and the executor: threads where and as they were asked for, and the caller's left alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

#define MOST 64

/* The ids of this process's threads but the calling one. */
static size_t other_threads(pid_t out[MOST]) {
  size_t n = 0;
  struct dirent* entry;
  DIR* folder = opendir("/proc/self/task");
  REQUIRE(folder != NULL);
  while ((entry = readdir(folder)) != NULL) {
    const pid_t id = (pid_t)atoi(entry->d_name);
    if (id > 0 && id != gettid() && n < MOST) out[n++] = id;
  }
  closedir(folder);
  return n;
}

/* So many, once threads that were joined have left the system's list. */
static int settles_at(size_t n) {
  pid_t threads[MOST];
  int tries;
  for (tries = 0; tries < 2000 && other_threads(threads) != n; ++tries) usleep(1000);
  return other_threads(threads) == n;
}

static kette_runtime* runtime_of(const kette_runtime_params* params) {
  kette_runtime* runtime = NULL;
  CHECK_INT(kette_runtime_new(params, &runtime, NULL), KETTE_OK);
  REQUIRE(runtime != NULL);
  return runtime;
}

static void test_priority_and_cpus(void) {
  static const struct {
    int32_t priority;
    int nice;
  } cases[] = {{KETTE_PRIORITY_BELOW_NORMAL, 5}, {KETTE_PRIORITY_NORMAL, 0}, {KETTE_PRIORITY_IDLE, 19}};
  const int own_nice = getpriority(PRIO_PROCESS, 0);
  cpu_set_t own, before, set;
  pid_t threads[MOST];
  size_t i, k, first = 0;
  int tries;
  CHECK_INT(sched_getaffinity(0, sizeof before, &before), 0);
  while (!CPU_ISSET(first, &before)) ++first;
  if (first >= 64) return;
  for (i = 0; i < 3; ++i) {
    SIZED(kette_runtime_params, params);
    kette_runtime* runtime;
    const int expected = own_nice + cases[i].nice < 19 ? own_nice + cases[i].nice : 19;
    params.n_threads = 3;
    params.thread_priority = cases[i].priority;
    params.cpu_mask_lo = 1ull << first;
    runtime = runtime_of(&params);
    CHECK(settles_at(2));
    CHECK_INT(other_threads(threads), 2);
    for (k = 0; k < 2; ++k) {
      /* A thread settles in after it was made. */
      for (tries = 0; tries < 2000; ++tries) {
        CHECK_INT(sched_getaffinity(threads[k], sizeof set, &set), 0);
        if (getpriority(PRIO_PROCESS, (id_t)threads[k]) == expected && CPU_COUNT(&set) == 1) break;
        usleep(1000);
      }
      CHECK_INT(getpriority(PRIO_PROCESS, (id_t)threads[k]), expected);
      CHECK_INT(CPU_COUNT(&set), 1);
      CHECK(CPU_ISSET(first, &set));
    }
    kette_runtime_unref(runtime);
    CHECK(settles_at(0));
  }
  CHECK_INT(getpriority(PRIO_PROCESS, 0), own_nice);
  CHECK_INT(sched_getaffinity(0, sizeof own, &own), 0);
  CHECK(CPU_EQUAL(&own, &before));
}

static void test_mask_refused(void) {
  kette_runtime* runtime = NULL;
  cpu_set_t set;
  SIZED(kette_runtime_params, params);
  CHECK_INT(sched_getaffinity(0, sizeof set, &set), 0);
  if (CPU_ISSET(127, &set)) return;
  params.cpu_mask_hi = 1ull << 63;
  CHECK_FAILS(kette_runtime_new(&params, &runtime, &error), KETTE_E_INVALID_ARGUMENT, "cpu mask");
  CHECK(runtime == NULL);
}

static void test_threads(void) {
  pid_t threads[MOST];
  kette_runtime* runtime;
  SIZED(kette_runtime_params, params);
  params.n_threads = 8;
  params.flags = KETTE_RUNTIME_NO_THREADS;
  runtime = runtime_of(&params);
  CHECK(settles_at(0));
  kette_runtime_ref(runtime);
  kette_runtime_unref(runtime);
  kette_runtime_unref(runtime);
  kette_runtime_unref(NULL);
  kette_runtime_ref(NULL);
  /* No default is more than the cores there are. */
  runtime = runtime_of(NULL);
  CHECK(other_threads(threads) < (size_t)sysconf(_SC_NPROCESSORS_ONLN));
  kette_runtime_unref(runtime);
}

/* Kette's threads take no signals: the host's handlers run on the host's threads. */
static void test_signals(void) {
  pid_t threads[MOST];
  char path[64], text[4096];
  size_t i, n;
  sigset_t before, after;
  kette_runtime* runtime;
  memset(&before, 0, sizeof before); /* the system, and sigemptyset, fill only a part */
  memset(&after, 0, sizeof after);
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  runtime = new_runtime(3);
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  CHECK(memcmp(&before, &after, sizeof before) == 0);
  CHECK_INT(other_threads(threads), 2);
  for (i = 0; i < 2; ++i) {
    FILE* file;
    const char* blocked;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)threads[i]);
    file = fopen(path, "r");
    REQUIRE(file != NULL);
    n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    blocked = strstr(text, "SigBlk:\t");
    REQUIRE(blocked != NULL);
    CHECK((strtoull(blocked + 8, NULL, 16) >> (SIGTERM - 1) & 1) == 1);
  }
  kette_runtime_unref(runtime);
}

static void test_isa(void) {
  static const char* const ladder[] = {"ref", "avx2", "avx512", "avx512_bf16", "amx"};
  int known = 1, i;
  for (i = 0; i < 5; ++i) {
    kette_runtime* runtime = NULL;
    kette_buf* json = NULL;
    SIZED(kette_runtime_params, params);
    char expected[64];
    kette_status status;
    params.max_isa = ladder[i];
    params.n_threads = 1;
    params.flags = KETTE_RUNTIME_NO_JIT;
    status = kette_runtime_new(&params, &runtime, NULL);
    if (status != KETTE_OK) {
      known = 0;
      CHECK_INT(status, KETTE_E_CPU);
      CHECK(runtime == NULL);
      continue;
    }
    CHECK(known); /* what a CPU can do has no gaps */
    CHECK_INT(kette_runtime_describe_cpu(runtime, &json, NULL), KETTE_OK);
    snprintf(expected, sizeof expected, "\"isa\": \"%s\"", ladder[i]);
    CHECK(strstr(kette_buf_data(json), expected) != NULL);
    CHECK(strstr(kette_buf_data(json), "\"generated_code\": false") != NULL);
    CHECK(strstr(kette_buf_data(json), "\"quantum_us\": 1000") != NULL);
    kette_buf_free(json);
    kette_runtime_unref(runtime);
  }
  CHECK_INT(kette_runtime_describe_cpu(NULL, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
}

/* An executor of threads that are made for each call. */
struct host {
  uint32_t calls, most;
  int claims_worker;
};
struct share {
  kette_task task;
  void* arg;
  uint32_t i, n;
};
static void* run_share(void* arg) {
  const struct share* s = arg;
  s->task(s->arg, s->i, s->n);
  return NULL;
}
static void parallel_for(void* user, uint32_t n, kette_task task, void* arg) {
  struct host* host = user;
  pthread_t threads[4];
  struct share shares[4];
  uint32_t i;
  ++host->calls;
  if (n > host->most) host->most = n;
  for (i = 0; i < n && i < 4; ++i) {
    const struct share s = {task, arg, i, n};
    shares[i] = s;
    if (pthread_create(&threads[i], NULL, run_share, &shares[i]) != 0) exit(1);
  }
  for (i = 0; i < n && i < 4; ++i) pthread_join(threads[i], NULL);
}
/* One that says it has several workers, and has the calling thread alone: whatever runs first must not wait for the
 * rest. */
static void one_by_one(void* user, uint32_t n, kette_task task, void* arg) {
  struct host* host = user;
  const uint32_t all = n;
  ++host->calls;
  if (n > host->most) host->most = n;
  for (; n > 0; --n) task(arg, n - 1, all);
}
static int32_t in_worker(void* user) { return ((struct host*)user)->claims_worker; }

static void test_executor(void) {
  struct host host = {0, 0, 0};
  struct tokens own, hosts, alone, serial;
  kette_runtime* runtime = new_runtime(2);
  kette_model* model = open_tiny(runtime, KETTE_MODEL_EXACT);
  kette_session* session = new_session(model);
  SIZED(kette_runtime_params, params);
  SIZED(kette_executor, executor);
  own = generate_greedy(session, 4);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);

  params.executor = &executor;
  executor.user = &host;
  executor.parallel_for = parallel_for;
  executor.in_worker = in_worker;
  CHECK_FAILS(kette_runtime_new(&params, &runtime, &error), KETTE_E_INVALID_ARGUMENT, "n_workers");
  executor.n_workers = 3;
  runtime = runtime_of(&params);
  CHECK(settles_at(0));
  model = open_tiny(runtime, KETTE_MODEL_EXACT);
  session = new_session(model);
  hosts = generate_greedy(session, 4);
  CHECK(same_tokens(&own, &hosts));
  CHECK(host.calls > 0);
  CHECK_INT(host.most, 3);
  /* Called on a worker of its own, the host is not asked for more. */
  host.calls = 0;
  host.claims_worker = 1;
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  alone = generate_greedy(session, 4);
  CHECK(same_tokens(&own, &alone));
  CHECK_INT(host.calls, 0);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);

  host.most = 0;
  host.claims_worker = 0;
  executor.parallel_for = one_by_one;
  runtime = runtime_of(&params);
  model = open_tiny(runtime, KETTE_MODEL_EXACT);
  session = new_session(model);
  serial = generate_greedy(session, 4);
  CHECK(same_tokens(&own, &serial));
  CHECK(host.calls > 0);
  CHECK_INT(host.most, 3);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
}

int main(void) {
  test_priority_and_cpus();
  test_mask_refused();
  test_threads();
  test_signals();
  test_isa();
  test_executor();
  return failures != 0;
}
