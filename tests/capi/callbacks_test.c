/* Callbacks: what they may call, messages to a logger, generated code that the system refuses. */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static kette_runtime* runtime;
static kette_model* model;
static kette_session *session, *other;
static kette_cancel* cancel;

/* In a callback everything that is no T0 function is refused, whatever object it is for. */
static void try_everything(void) {
  kette_runtime* r = NULL;
  kette_model* m = NULL;
  kette_session* s = NULL;
  kette_chat* c = NULL;
  kette_buf* b = NULL;
  size_t needed;
  float logits[TINY_VOCAB];
  CHECK_FAILS(kette_runtime_new(NULL, &r, &error), KETTE_E_REENTRANT, "callback");
  CHECK_INT(kette_runtime_describe_cpu(runtime, &b, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_model_open(runtime, TINY, NULL, &m, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_model_info(model, &b, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_tokenize(model, "a", 1, 0, NULL, 0, &needed, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_chat_new(model, &c, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_session_new(model, NULL, &s, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_session_eval(other, prompt, 1, logits, 1, NULL), KETTE_E_REENTRANT);
  CHECK_INT(kette_session_step(session, 0, NULL), KETTE_E_REENTRANT);
  CHECK(r == NULL && m == NULL && s == NULL && c == NULL && b == NULL);
  CHECK(kette_version() == KETTE_VERSION && kette_has_feature("gguf"));
  kette_cancel_trigger(cancel);
  kette_cancel_reset(cancel);
  kette_cancel_unref(kette_cancel_new());
  kette_model_ref(model);
  kette_model_unref(model);
}

static int32_t on_event(void* user, const kette_event* event) {
  if (((struct tokens*)user)->n == 0) try_everything();
  return keep_token(user, event);
}
static int32_t on_progress(void* user, uint64_t done, uint64_t total) {
  (void)done, (void)total;
  if (++*(int*)user == 1) try_everything();
  return 0;
}
static void* take(void* user, size_t n, size_t align, uint32_t tag) {
  (void)tag;
  if (++*(int*)user == 1) try_everything();
  return aligned_alloc(align, (n + align - 1) / align * align);
}
static void give(void* user, void* p, size_t n, size_t align, uint32_t tag) {
  (void)user, (void)n, (void)align, (void)tag;
  free(p);
}

static void test_reentry(void) {
  struct tokens expected, found;
  kette_model* opened = NULL;
  kette_session* s;
  kette_runtime* hooked = NULL;
  int calls = 0;
  SIZED(kette_model_params, params);
  SIZED(kette_runtime_params, runtime_params);
  SIZED(kette_allocator, allocator);
  expected = generate_greedy(other, 5);
  memset(&found, 0, sizeof found);
  CHECK_INT(begin_greedy(session, 5, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, on_event, &found, NULL), KETTE_OK);
  CHECK(same_tokens(&expected, &found));
  params.progress = on_progress;
  params.progress_user = &calls;
  CHECK_INT(kette_model_open(runtime, TINY, &params, &opened, NULL), KETTE_OK);
  CHECK(calls > 0);
  kette_model_unref(opened);
  opened = NULL;
  calls = 0;
  runtime_params.allocator = &allocator;
  allocator.user = &calls;
  allocator.alloc = take;
  allocator.free_ = give;
  CHECK_INT(kette_runtime_new(&runtime_params, &hooked, NULL), KETTE_OK);
  opened = open_tiny(hooked, 0);
  s = new_session(opened);
  CHECK(calls > 0);
  kette_session_free(s);
  kette_model_unref(opened);
  kette_runtime_unref(hooked);
}

struct journal {
  int messages, destroyed;
  char last[256];
};
static void keep_message(void* user, int32_t level, const char* component, const char* message, size_t length) {
  struct journal* journal = user;
  CHECK(level >= 0 && level <= 3);
  CHECK(component != NULL && strlen(component) > 0);
  if (journal->messages++ == 0) try_everything();
  snprintf(journal->last, sizeof journal->last, "%.*s", (int)length, message);
}
static void destroy(void* user) { ++((struct journal*)user)->destroyed; }

static kette_status runtime_with(struct journal* journal, int32_t min_level, uint32_t flags, kette_runtime** out) {
  SIZED(kette_runtime_params, params);
  SIZED(kette_logger, logger);
  logger.user = journal;
  logger.min_level = min_level;
  logger.log = keep_message;
  logger.destroy = destroy;
  params.logger = &logger;
  params.flags = flags;
  params.n_threads = 1;
  return kette_runtime_new(&params, out, NULL);
}

static void test_logger(void) {
  struct journal journal = {0, 0, ""};
  kette_runtime* r = NULL;
  kette_model* m;
  CHECK_INT(runtime_with(&journal, 0, 0, &r), KETTE_OK);
  m = open_tiny(r, 0);
  kette_runtime_unref(r);
  CHECK_INT(journal.destroyed, 0); /* the model keeps the runtime */
  kette_model_unref(m);
  CHECK_INT(journal.destroyed, 1);
  /* A call that fails gives it back. */
  CHECK_INT(runtime_with(&journal, 0, 1u << 20, &r), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(journal.destroyed, 2);
  CHECK_INT(runtime_with(&journal, 0, 0, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(journal.destroyed, 3);
}

/* With no executable memory to be had, matmuls go without generated code; a warning says so, and answers come. In a
 * child, for it cannot be undone. Status 77: this system has no such switch. */
static int without_executable_memory(void) {
  struct journal journal = {0, 0, ""};
  struct tokens out;
  kette_runtime* r = NULL;
  kette_model* m;
  kette_session* s;
  const int deny_write_execute = 65 /* PR_SET_MDWE */, refuse_gain = 1;
  if (prctl(deny_write_execute, refuse_gain, 0, 0, 0) != 0) return SKIPPED;
  CHECK_INT(runtime_with(&journal, 3, 0, &r), KETTE_OK);
  CHECK_INT(journal.messages, 0); /* warnings are below 3 */
  kette_runtime_unref(r);
  CHECK_INT(runtime_with(&journal, 2, 0, &r), KETTE_OK);
  CHECK(journal.messages > 0 && strstr(journal.last, "generated") != NULL);
  m = open_tiny(r, 0);
  s = new_session(m);
  out = generate_greedy(s, 4);
  CHECK_INT(out.n, 4);
  kette_session_free(s);
  kette_model_unref(m);
  kette_runtime_unref(r);
  return failures != 0;
}

int main(void) {
  int status = 0;
  const pid_t child = fork(); /* before anything has generated code */
  if (child == 0) {
    runtime = NULL;
    _exit(without_executable_memory());
  }
  CHECK_INT(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SKIPPED));
  if (WEXITSTATUS(status) == SKIPPED) printf("not tested: this system cannot refuse executable memory\n");

  runtime = new_runtime(2);
  model = open_tiny(runtime, KETTE_MODEL_EXACT);
  session = new_session(model);
  other = new_session(model);
  cancel = kette_cancel_new();
  test_reentry();
  test_logger();
  kette_cancel_unref(cancel);
  kette_session_free(other);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
