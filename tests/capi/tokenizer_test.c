/* Group 7: text to tokens and back, with buffers that fit, are too small, or are missing. */
#include "check.h"

int main(void) {
  kette_runtime* runtime = new_runtime(1);
  kette_model* model = open_tiny(runtime, KETTE_MODEL_VOCAB_ONLY);
  char every[256], back[1024];
  kette_token out[300], wrong[2] = {TINY_VOCAB, -1};
  size_t needed = 99, bytes, i;
  for (i = 0; i < sizeof every; ++i) every[i] = (char)i;

  /* Ask for the size, then for the tokens. */
  CHECK_INT(kette_tokenize(model, every, sizeof every, 0, NULL, 0, &needed, NULL), KETTE_OK);
  CHECK(needed > 0 && needed <= 256);
  memset(out, 0x5a, sizeof out);
  CHECK_FAILS(kette_tokenize(model, every, sizeof every, 0, out, needed - 1, &bytes, &error), KETTE_E_INVALID_ARGUMENT,
              "buffer");
  CHECK_INT(bytes, needed);
  CHECK_INT(out[0], 0x5a5a5a5a); /* nothing is written then */
  CHECK_INT(kette_tokenize(model, every, sizeof every, 0, out, needed, &needed, NULL), KETTE_OK);
  CHECK_INT(out[needed], 0x5a5a5a5a);
  for (i = 0; i < needed; ++i) CHECK(out[i] >= 0 && out[i] < TINY_VOCAB);
  /* And back: any bytes are kept. */
  CHECK_INT(kette_detokenize(model, out, needed, 0, NULL, 0, &bytes, NULL), KETTE_OK);
  CHECK_INT(bytes, sizeof every);
  memset(back, 0x5a, sizeof back);
  CHECK_INT(kette_detokenize(model, out, needed, 0, back, bytes - 1, &bytes, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(back[0], 0x5a);
  CHECK_INT(kette_detokenize(model, out, needed, 0, back, bytes, &bytes, NULL), KETTE_OK);
  CHECK(memcmp(back, every, sizeof every) == 0);
  CHECK_INT(back[sizeof every], 0x5a);

  /* Nothing at all. */
  CHECK_INT(kette_tokenize(model, NULL, 0, 0, NULL, 0, &needed, NULL), KETTE_OK);
  CHECK_INT(needed, 0);
  CHECK_INT(kette_detokenize(model, NULL, 0, 0, NULL, 0, &needed, NULL), KETTE_OK);
  CHECK_INT(needed, 0);
  /* Nonsense. */
  needed = 77;
  CHECK_INT(kette_tokenize(NULL, "a", 1, 0, out, 300, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_tokenize(model, NULL, 1, 0, out, 300, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_tokenize(model, "a", 1, 0, NULL, 300, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_tokenize(model, "a", 1, 0, out, 300, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_detokenize(model, NULL, 1, 0, back, 300, &needed, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_FAILS(kette_detokenize(model, wrong, 1, 0, back, 300, &needed, &error), KETTE_E_INVALID_ARGUMENT, "288");
  CHECK_FAILS(kette_detokenize(model, wrong + 1, 1, 0, back, 300, &needed, &error), KETTE_E_INVALID_ARGUMENT, "-1");
  CHECK_INT(needed, 77);

  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
