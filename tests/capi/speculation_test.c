/* Guessing ahead: asked for by name, refused where it can't be, and without effect on the tokens. */
#include "check.h"

static struct tokens generate(kette_session* session, int32_t speculation, uint64_t* drafted) {
  struct tokens out;
  SIZED(kette_sampling, greedy);
  SIZED(kette_gen_params, params);
  SIZED(kette_metrics, metrics);
  memset(&out, 0, sizeof out);
  greedy.set = KETTE_SET_TEMPERATURE;
  params.sampling = &greedy;
  params.flags = KETTE_GENERATE_IGNORE_EOS;
  params.max_tokens = 40;
  params.speculation = speculation;
  CHECK_INT(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, keep_token, &out, NULL), KETTE_OK);
  CHECK_INT(kette_session_metrics(session, &metrics, NULL), KETTE_OK);
  CHECK(metrics.accepted_tokens <= metrics.drafted_tokens);
  *drafted = metrics.drafted_tokens;
  return out;
}

int main(void) {
  kette_runtime* runtime = new_runtime(2);
  kette_model *plain = open_tiny(runtime, 0), *module = NULL;
  kette_session *session = new_session(plain), *ahead;
  struct tokens expected, guessed;
  uint64_t drafted;
  SIZED(kette_gen_params, params);

  /* The tiny Llama repeats itself: looking up finds something. */
  expected = generate(session, KETTE_SPECULATION_OFF, &drafted);
  CHECK_INT(expected.n, 40);
  CHECK_INT(drafted, 0);
  guessed = generate(session, KETTE_SPECULATION_AUTO, &drafted);
  CHECK(same_tokens(&expected, &guessed));
  CHECK_INT(drafted, 0);
  guessed = generate(session, KETTE_SPECULATION_PROMPT_LOOKUP, &drafted);
  CHECK(same_tokens(&expected, &guessed));
  params.speculation = KETTE_SPECULATION_MTP;
  CHECK_FAILS(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, &error), KETTE_E_UNSUPPORTED,
              "multi-token");
  params.speculation = 4;
  CHECK_FAILS(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, &error), KETTE_E_INVALID_ARGUMENT, "4");
  params.speculation = KETTE_SPECULATION_PROMPT_LOOKUP;
  params.max_draft = 8;
  CHECK_FAILS(kette_session_begin_tokens(session, prompt, PROMPT_SIZE, &params, &error), KETTE_E_INVALID_ARGUMENT,
              "at most 7");

  REQUIRE(kette_model_open(runtime, KETTE_GOLDEN_DIR "/models/dsv3_fp8/hf", NULL, &module, NULL) == KETTE_OK);
  ahead = new_session(module);
  expected = generate(ahead, KETTE_SPECULATION_OFF, &drafted);
  CHECK_INT(drafted, 0);
  guessed = generate(ahead, KETTE_SPECULATION_MTP, &drafted);
  CHECK(same_tokens(&expected, &guessed));
  CHECK(drafted > 0);
  guessed = generate(ahead, KETTE_SPECULATION_AUTO, &drafted);
  CHECK(same_tokens(&expected, &guessed));
  CHECK(drafted > 0);

  kette_session_free(session);
  kette_session_free(ahead);
  kette_model_unref(plain);
  kette_model_unref(module);
  kette_runtime_unref(runtime);
  return failures != 0;
}
