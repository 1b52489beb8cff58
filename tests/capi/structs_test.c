/* Structs of other versions of the ABI: smaller, larger with and without something new in them, and nonsense. */
#include "check.h"

/* Every struct that is read, at the start of one with room behind it. */
struct larger {
  union {
    struct {
      uint32_t struct_size;
    } any;
    kette_runtime_params runtime;
    kette_model_params model;
    kette_session_params session;
    kette_sampling sampling;
    kette_gen_params gen;
    kette_allocator allocator;
    kette_executor executor;
    kette_logger logger;
    kette_vfs vfs;
  } known;
  unsigned char tail[64];
};

static kette_runtime* runtime;
static kette_model* model;
static kette_session* session;

static void* take(void* user, size_t n, size_t align, uint32_t tag) {
  (void)user, (void)tag;
  return aligned_alloc(align, (n + align - 1) / align * align);
}
static void give(void* user, void* p, size_t n, size_t align, uint32_t tag) {
  (void)user, (void)n, (void)align, (void)tag;
  free(p);
}
static void all_at_once(void* user, uint32_t n, kette_task task, void* arg) {
  uint32_t i;
  (void)user;
  for (i = 0; i < n; ++i) task(arg, i, n);
}
static void ignore(void* user, int32_t level, const char* component, const char* message, size_t length) {
  (void)user, (void)level, (void)component, (void)message, (void)length;
}
static int32_t no_file(void* user, const char* name, void** file, uint64_t* size) {
  (void)user, (void)name, (void)file, (void)size;
  return 2;
}
static int64_t no_bytes(void* user, void* file, uint64_t offset, void* dst, size_t n) {
  (void)user, (void)file, (void)offset, (void)dst, (void)n;
  return -5;
}

static kette_status use_runtime(struct larger* s) {
  kette_runtime* made = NULL;
  const kette_status status = kette_runtime_new(&s->known.runtime, &made, NULL);
  CHECK((status == KETTE_OK) == (made != NULL));
  kette_runtime_unref(made);
  return status;
}
static kette_status use_model(struct larger* s) {
  kette_model* made = NULL;
  const kette_status status = kette_model_open(runtime, TINY, &s->known.model, &made, NULL);
  CHECK((status == KETTE_OK) == (made != NULL));
  kette_model_unref(made);
  return status;
}
static kette_status use_session(struct larger* s) {
  kette_session* made = NULL;
  const kette_status status = kette_session_new(model, &s->known.session, &made, NULL);
  CHECK((status == KETTE_OK) == (made != NULL));
  kette_session_free(made);
  return status;
}
static kette_status begin(const kette_gen_params* params) {
  const kette_status status = kette_session_begin_tokens(session, prompt, 3, params, NULL);
  if (status == KETTE_OK) kette_session_run(session, NULL, NULL, NULL);
  return status;
}
static kette_status use_gen(struct larger* s) {
  s->known.gen.max_tokens = s->known.any.struct_size >= 12 ? 1 : 0;
  return begin(&s->known.gen);
}
static kette_status use_sampling(struct larger* s) {
  SIZED(kette_gen_params, gen);
  gen.max_tokens = 1;
  gen.sampling = &s->known.sampling;
  return begin(&gen);
}
static kette_status with_runtime(kette_runtime_params* params) {
  struct larger s;
  memset(&s, 0, sizeof s);
  s.known.runtime = *params;
  return use_runtime(&s);
}
static kette_status use_allocator(struct larger* s) {
  SIZED(kette_runtime_params, params);
  params.allocator = &s->known.allocator;
  s->known.allocator.alloc = take;
  s->known.allocator.free_ = give;
  return with_runtime(&params);
}
static kette_status use_executor(struct larger* s) {
  SIZED(kette_runtime_params, params);
  params.executor = &s->known.executor;
  s->known.executor.n_workers = 2;
  s->known.executor.parallel_for = all_at_once;
  return with_runtime(&params);
}
static kette_status use_logger(struct larger* s) {
  SIZED(kette_runtime_params, params);
  params.logger = &s->known.logger;
  s->known.logger.log = ignore;
  return with_runtime(&params);
}
static kette_status use_vfs(struct larger* s) {
  kette_model* made = NULL;
  SIZED(kette_model_params, params);
  params.vfs = &s->known.vfs;
  s->known.vfs.open = no_file;
  s->known.vfs.read_at = no_bytes;
  return kette_model_open(runtime, "x", &params, &made, NULL);
}

static void test_growth(const char* name, kette_status (*use)(struct larger*), kette_status good, int smaller_is_good) {
  const uint32_t size = kette_struct_size(name);
  struct larger s;
  int before = failures;
  memset(&s, 0, sizeof s);
  s.known.any.struct_size = size;
  CHECK_INT(use(&s), good);
  s.known.any.struct_size = size + 24; /* a later version's, with nothing new used */
  CHECK_INT(use(&s), good);
  ((unsigned char*)&s)[size + 23] = 1;
  CHECK_INT(use(&s), KETTE_E_STRUCT_TOO_NEW);
  s.known.any.struct_size = size + 23; /* what lies behind the struct does not count */
  CHECK_INT(use(&s), good);
  s.known.any.struct_size = 8; /* an earlier version's */
  CHECK_INT(use(&s), smaller_is_good ? good : KETTE_E_INVALID_ARGUMENT);
  s.known.any.struct_size = 0;
  CHECK_INT(use(&s), KETTE_E_INVALID_ARGUMENT);
  s.known.any.struct_size = 4;
  CHECK_INT(use(&s), KETTE_E_INVALID_ARGUMENT);
  s.known.any.struct_size = UINT32_MAX;
  CHECK_INT(use(&s), KETTE_E_INVALID_ARGUMENT);
  if (failures != before) fprintf(stderr, "... with %s\n", name);
}

/* Structs that the library fills: as far as they go, and not a byte further. */
static void test_filled(void) {
  struct {
    kette_metrics metrics;
    unsigned char tail[32];
  } m;
  struct {
    kette_event event;
    unsigned char tail[32];
  } e;
  size_t i;
  memset(&m, 0x5a, sizeof m);
  m.metrics.struct_size = 16; /* up to prompt_tokens */
  CHECK_INT(kette_session_metrics(session, &m.metrics, NULL), KETTE_OK);
  CHECK_INT(m.metrics.struct_size, 16);
  CHECK_INT(m.metrics.prompt_tokens, 3);
  CHECK_INT(m.metrics.cached_tokens, 0x5a5a5a5a5a5a5a5a);
  m.metrics.struct_size = sizeof m;
  CHECK_INT(kette_session_metrics(session, &m.metrics, NULL), KETTE_OK);
  for (i = 0; i < sizeof m.tail; ++i) CHECK_INT(m.tail[i], 0x5a);
  m.metrics.struct_size = 0;
  CHECK_INT(kette_session_metrics(session, &m.metrics, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_session_metrics(session, NULL, NULL), KETTE_E_INVALID_ARGUMENT);

  CHECK_INT(begin_greedy(session, 1, NULL, NULL), KETTE_OK);
  CHECK(kette_session_step(session, 0, NULL) >= 0);
  memset(&e, 0x5a, sizeof e);
  e.event.struct_size = 0; /* refused before the event is taken */
  CHECK_INT(kette_session_poll(session, &e.event, NULL), KETTE_E_INVALID_ARGUMENT);
  e.event.struct_size = sizeof e;
  CHECK_INT(kette_session_poll(session, &e.event, NULL), KETTE_OK);
  CHECK_INT(e.event.type, KETTE_EVENT_TEXT);
  CHECK_INT(e.event.index, 1);
  for (i = 0; i < sizeof e.tail; ++i) CHECK_INT(e.tail[i], 0x5a);
  kette_session_run(session, NULL, NULL, NULL);
}

/* Flags and numbers that nobody defined. */
static void test_unknown_bits(void) {
  kette_runtime* r = NULL;
  kette_model* m = NULL;
  kette_session* s = NULL;
  size_t needed = 0;
  SIZED(kette_runtime_params, runtime_params);
  SIZED(kette_model_params, model_params);
  SIZED(kette_session_params, session_params);
  SIZED(kette_gen_params, gen);
  SIZED(kette_sampling, sampling);
  runtime_params.flags = 1u << 31;
  CHECK_FAILS(kette_runtime_new(&runtime_params, &r, &error), KETTE_E_INVALID_ARGUMENT, "flags");
  runtime_params.flags = 0;
  runtime_params.n_threads = -1;
  CHECK_FAILS(kette_runtime_new(&runtime_params, &r, &error), KETTE_E_INVALID_ARGUMENT, "n_threads");
  runtime_params.n_threads = 1;
  runtime_params.thread_priority = 99; /* real-time does not exist here */
  CHECK_FAILS(kette_runtime_new(&runtime_params, &r, &error), KETTE_E_INVALID_ARGUMENT, "thread_priority");
  runtime_params.thread_priority = 0;
  runtime_params.max_isa = "abacus";
  CHECK_FAILS(kette_runtime_new(&runtime_params, &r, &error), KETTE_E_INVALID_ARGUMENT, "abacus");
  model_params.flags = 1u << 30;
  CHECK_FAILS(kette_model_open(runtime, TINY, &model_params, &m, &error), KETTE_E_INVALID_ARGUMENT, "flags");
  session_params.flags = 1;
  CHECK_FAILS(kette_session_new(model, &session_params, &s, &error), KETTE_E_INVALID_ARGUMENT, "flags");
  session_params.flags = 0;
  session_params.kv_type = 9;
  CHECK_FAILS(kette_session_new(model, &session_params, &s, &error), KETTE_E_INVALID_ARGUMENT, "kv_type");
  gen.flags = 1u << 29;
  CHECK_FAILS(kette_session_begin_tokens(session, prompt, 3, &gen, &error), KETTE_E_INVALID_ARGUMENT, "flags");
  gen.flags = 0;
  gen.sampling = &sampling;
  sampling.set = 1u << 28;
  CHECK_FAILS(kette_session_begin_tokens(session, prompt, 3, &gen, &error), KETTE_E_INVALID_ARGUMENT, "set");
  CHECK_INT(kette_tokenize(model, "a", 1, 1u << 27, NULL, 0, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_detokenize(model, prompt, 1, 1u << 26, NULL, 0, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK(r == NULL && m == NULL && s == NULL);
}

int main(void) {
  runtime = new_runtime(1);
  model = open_tiny(runtime, 0);
  session = new_session(model);
  test_growth("kette_runtime_params", use_runtime, KETTE_OK, 1);
  test_growth("kette_model_params", use_model, KETTE_OK, 1);
  test_growth("kette_session_params", use_session, KETTE_OK, 1);
  test_growth("kette_sampling", use_sampling, KETTE_OK, 1);
  test_growth("kette_allocator", use_allocator, KETTE_OK, 0);
  test_growth("kette_executor", use_executor, KETTE_OK, 0);
  test_growth("kette_logger", use_logger, KETTE_OK, 0);
  test_growth("kette_vfs", use_vfs, KETTE_E_NOT_FOUND, 0);
  kette_session_rewind(session, 0, NULL);
  test_growth("kette_gen_params", use_gen, KETTE_OK, 1);
  test_filled();
  test_unknown_bits();
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
