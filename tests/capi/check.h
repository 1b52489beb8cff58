/* What the C tests share: checks that count, the tiny model of the goldens, whole files as bytes. */
#ifndef KETTE_TESTS_CAPI_CHECK_H
#define KETTE_TESTS_CAPI_CHECK_H
#include <kette/kette.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77
#define TINY KETTE_GOLDEN_DIR "/models/llama/gguf/llama-Q4_0.gguf"
#define TINY_VOCAB 288

static int failures = 0;
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                             \
    }                                                                         \
  } while (0)
#define CHECK_INT(found, expected)                                                                          \
  do {                                                                                                      \
    const long long found_ = (long long)(found), expected_ = (long long)(expected);                         \
    if (found_ != expected_) {                                                                              \
      fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #found, found_, expected_); \
      ++failures;                                                                                           \
    }                                                                                                       \
  } while (0)
/* Without it the test cannot go on. */
#define REQUIRE(condition)      \
  do {                          \
    CHECK(condition);           \
    if (failures != 0) exit(1); \
  } while (0)

#define SIZED(type, name)        \
  type name;                     \
  memset(&name, 0, sizeof name); \
  name.struct_size = (uint32_t)sizeof name

/* A call that must fail with `code`, an error object that says why, and its message with `word` in it. */
#define CHECK_FAILS(call_with_error, code, word)                                                              \
  do {                                                                                                        \
    kette_error* error = NULL;                                                                                \
    CHECK_INT(call_with_error, code);                                                                         \
    CHECK(error != NULL);                                                                                     \
    CHECK_INT(kette_error_code(error), code);                                                                 \
    if (strstr(kette_error_message(error), word) == NULL) {                                                   \
      fprintf(stderr, "%s:%d: \"%s\" is not in: %s\n", __FILE__, __LINE__, word, kette_error_message(error)); \
      ++failures;                                                                                             \
    }                                                                                                         \
    kette_error_free(error);                                                                                  \
  } while (0)

struct bytes {
  unsigned char* data;
  size_t size;
};
static inline struct bytes read_file(const char* path) {
  struct bytes out = {NULL, 0};
  FILE* file = fopen(path, "rb");
  REQUIRE(file != NULL);
  fseek(file, 0, SEEK_END);
  out.size = (size_t)ftell(file);
  rewind(file);
  out.data = malloc(out.size + 1);
  REQUIRE(out.data != NULL && fread(out.data, 1, out.size, file) == out.size);
  out.data[out.size] = 0;
  fclose(file);
  return out;
}

static inline kette_runtime* new_runtime(int32_t n_threads) {
  kette_runtime* runtime = NULL;
  SIZED(kette_runtime_params, params);
  params.n_threads = n_threads;
  REQUIRE(kette_runtime_new(&params, &runtime, NULL) == KETTE_OK);
  return runtime;
}
static inline kette_model* open_tiny(kette_runtime* runtime, uint32_t flags) {
  kette_model* model = NULL;
  SIZED(kette_model_params, params);
  params.flags = flags;
  REQUIRE(kette_model_open(runtime, TINY, &params, &model, NULL) == KETTE_OK);
  return model;
}
static inline kette_session* new_session(kette_model* model) {
  kette_session* session = NULL;
  REQUIRE(kette_session_new(model, NULL, &session, NULL) == KETTE_OK);
  return session;
}

/* Greedy generation of at most 64 tokens. */
struct tokens {
  kette_token id[64];
  size_t n;
  int32_t finish;
};
static inline int32_t keep_token(void* user, const kette_event* event) {
  struct tokens* out = user;
  if (event->type == KETTE_EVENT_TEXT && event->token >= 0 && out->n < 64) out->id[out->n++] = event->token;
  if (event->type == KETTE_EVENT_DONE) out->finish = event->finish_reason;
  return 0;
}
static const kette_token prompt[] = {204, 119, 24, 31, 246, 74, 206, 113, 4, 89, 85, 197, 21, 151, 5, 91, 131};
#define PROMPT_SIZE (sizeof prompt / sizeof prompt[0])
static inline kette_status begin_greedy(kette_session* session, uint32_t max_tokens, kette_cancel* cancel,
                                        kette_error** error) {
  SIZED(kette_sampling, greedy);
  SIZED(kette_gen_params, params);
  greedy.set = KETTE_SET_TEMPERATURE;
  params.sampling = &greedy;
  params.flags = KETTE_GENERATE_IGNORE_EOS;
  params.max_tokens = max_tokens;
  params.cancel = cancel;
  return kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, error);
}
static inline struct tokens generate_greedy(kette_session* session, uint32_t max_tokens) {
  struct tokens out;
  memset(&out, 0, sizeof out);
  CHECK_INT(begin_greedy(session, max_tokens, NULL, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
  return out;
}
static inline int same_tokens(const struct tokens* a, const struct tokens* b) {
  return a->n == b->n && memcmp(a->id, b->id, a->n * sizeof a->id[0]) == 0;
}
#endif
