/* A process that forks: in the child, objects with threads say so and can be freed, objects without go on. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

struct objects {
  kette_runtime* runtime;
  kette_model* model;
  kette_session* session;
};
static struct objects make(int32_t n_threads) {
  struct objects o;
  o.runtime = new_runtime(n_threads);
  o.model = open_tiny(o.runtime, 0);
  o.session = new_session(o.model);
  return o;
}
static void release(const struct objects* o) {
  kette_session_free(o->session);
  kette_model_unref(o->model);
  kette_runtime_unref(o->runtime);
}

static void child_of_threads(const struct objects* o) {
  kette_session* s = NULL;
  kette_model* m = NULL;
  kette_buf* b = NULL;
  struct objects fresh;
  size_t needed;
  CHECK_FAILS(kette_session_eval(o->session, prompt, 1, NULL, 0, &error), KETTE_E_FORKED, "fork");
  CHECK_INT(kette_session_fork(o->session, &s, NULL), KETTE_E_FORKED);
  CHECK_INT(begin_greedy(o->session, 1, NULL, NULL), KETTE_E_FORKED);
  CHECK_INT(kette_session_new(o->model, NULL, &s, NULL), KETTE_E_FORKED);
  CHECK_INT(kette_model_info(o->model, &b, NULL), KETTE_E_FORKED);
  CHECK_INT(kette_tokenize(o->model, "a", 1, 0, NULL, 0, &needed, NULL), KETTE_E_FORKED);
  CHECK_INT(kette_model_open(o->runtime, TINY, NULL, &m, NULL), KETTE_E_FORKED);
  CHECK_INT(kette_runtime_describe_cpu(o->runtime, &b, NULL), KETTE_E_FORKED);
  CHECK(s == NULL && m == NULL && b == NULL);
  release(o);
  fresh = make(3); /* the child's own threads */
  CHECK_INT(generate_greedy(fresh.session, 4).n, 4);
  release(&fresh);
}

static void in_child(void (*body)(const struct objects*), const struct objects* o) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60); /* a hang ends too */
    body(o);
    _exit(failures != 0);
  }
  CHECK_INT(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  CHECK_INT(WEXITSTATUS(status), 0);
}

static void child_without_threads(const struct objects* o) {
  CHECK_INT(generate_greedy(o->session, 4).n, 4);
  release(o);
}

int main(void) {
  struct objects threads = make(3), alone = make(1);
  const struct tokens before = generate_greedy(threads.session, 4);
  struct tokens after;
  in_child(child_of_threads, &threads);
  in_child(child_without_threads, &alone);
  after = generate_greedy(threads.session, 4);
  CHECK(same_tokens(&before, &after));
  release(&threads);
  release(&alone);
  return failures != 0;
}
