/* Group 11: embeddings. */
#include <math.h>

#include "check.h"

static void test_embed(kette_runtime* runtime) {
  kette_model *model = open_tiny(runtime, KETTE_MODEL_EXACT), *words = open_tiny(runtime, KETTE_MODEL_VOCAB_ONLY);
  const size_t hidden = (size_t)kette_model_get_i64(model, "hidden_size", 0);
  const char* texts[2] = {"one", "and one more"};
  const size_t lens[2] = {3, 12};
  const char* long_text[1];
  size_t long_len[1] = {4000}, needed = 0, i;
  float out[2 * 64], same[64], mean[64];
  double squares = 0;
  kette_cancel* cancel = kette_cancel_new();
  REQUIRE(hidden == 64);
  CHECK_INT(kette_embed(model, texts, lens, 2, KETTE_POOL_MEAN, NULL, NULL, 0, &needed, NULL), KETTE_OK);
  CHECK_INT(needed, 2 * hidden);
  CHECK_INT(kette_embed(model, texts, lens, 2, KETTE_POOL_MEAN, cancel, out, needed, &needed, NULL), KETTE_OK);
  CHECK_INT(kette_embed(model, texts, lens, 1, KETTE_POOL_MEAN, NULL, mean, hidden, &needed, NULL), KETTE_OK);
  CHECK(memcmp(out, mean, sizeof mean) == 0);
  CHECK_INT(kette_embed(model, texts + 1, lens + 1, 1, KETTE_POOL_LAST | KETTE_EMBED_NORMALIZE, NULL, same, 64, &needed,
                        NULL),
            KETTE_OK);
  for (i = 0; i < 64; ++i) squares += (double)same[i] * (double)same[i];
  CHECK(fabs(squares - 1) < 1e-5);
  CHECK_INT(kette_embed(model, NULL, NULL, 0, KETTE_POOL_CLS, NULL, out, 1, &needed, NULL), KETTE_OK);
  CHECK_INT(needed, 0);
  /* Refused, nothing written. */
  out[0] = 7;
  CHECK_FAILS(kette_embed(model, texts, lens, 2, 0, NULL, out, 127, &needed, &error), KETTE_E_INVALID_ARGUMENT, "128");
  CHECK_INT(needed, 128);
  CHECK_INT(kette_embed(model, texts, lens, 2, 3, NULL, out, 128, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_embed(model, NULL, lens, 2, 0, NULL, out, 128, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_embed(model, texts, NULL, 2, 0, NULL, out, 128, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_embed(model, texts, lens, 2, 0, NULL, out, 128, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_embed(NULL, texts, lens, 2, 0, NULL, out, 128, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_FAILS(kette_embed(words, texts, lens, 2, 0, NULL, out, 128, &needed, &error), KETTE_E_MISUSE, "vocabulary");
  long_text[0] = calloc(1, 4000);
  CHECK_FAILS(kette_embed(model, long_text, long_len, 1, 0, NULL, out, 128, &needed, &error), KETTE_E_CONTEXT_FULL,
              "text 0");
  free((void*)long_text[0]);
  kette_cancel_trigger(cancel);
  CHECK_FAILS(kette_embed(model, texts, lens, 2, 0, cancel, out, 128, &needed, &error), KETTE_E_CANCELLED, "text 0");
  CHECK(out[0] == 7);
  kette_cancel_unref(cancel);
  kette_model_unref(model);
  kette_model_unref(words);
}

int main(void) {
  kette_runtime* runtime = new_runtime(2);
  test_embed(runtime);
  kette_runtime_unref(runtime);
  return failures != 0;
}
