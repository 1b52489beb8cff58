/* Group 9: grammars of every kind, sources that are refused, and how long grammars live. */
#include "check.h"

static kette_status make(const kette_model* model, const char* kind, const char* source, kette_grammar** out,
                         kette_error** error) {
  return kette_grammar_new(model, kind, source, source != NULL ? strlen(source) : 0, out, error);
}

int main(void) {
  kette_runtime* runtime = new_runtime(1);
  kette_model* model = open_tiny(runtime, KETTE_MODEL_VOCAB_ONLY);
  kette_model* full = open_tiny(runtime, 0);
  kette_grammar* grammar = NULL;
  static const struct {
    const char *kind, *source;
  } good[] = {{"gbnf", "root ::= \"yes\" | \"no\""},
              {"json_schema", "{\"type\":\"object\"}"},
              {"regex", "[a-z]+"},
              {"json", NULL},
              {"json", ""}};
  size_t i;
  CHECK_INT(kette_has_feature("grammar"), 1);
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    grammar = NULL;
    CHECK_INT(make(model, good[i].kind, good[i].source, &grammar, NULL), KETTE_OK);
    CHECK(grammar != NULL);
    kette_grammar_ref(grammar);
    kette_grammar_unref(grammar);
    kette_grammar_unref(grammar);
    CHECK_INT(make(full, good[i].kind, good[i].source, &grammar, NULL), KETTE_OK);
    kette_grammar_unref(grammar);
  }
  kette_grammar_ref(NULL);
  kette_grammar_unref(NULL);

  /* Refused: the message says what and where; nothing is stored. */
  grammar = (kette_grammar*)&failures;
  CHECK_FAILS(make(model, "gbnf", "root ::= root \"a\" | \"b\"", &grammar, &error), KETTE_E_UNSUPPORTED,
              "left recursion");
  CHECK_FAILS(make(model, "gbnf", "root ::= (", &grammar, &error), KETTE_E_INVALID_ARGUMENT, "line 1");
  CHECK_FAILS(make(model, "json_schema", "{\"properties\":{\"a\":{\"not\":{}}}}", &grammar, &error),
              KETTE_E_UNSUPPORTED, "properties.a: keyword \"not\"");
  CHECK_FAILS(make(model, "json_schema", "{", &grammar, &error), KETTE_E_INVALID_ARGUMENT, "JSON");
  CHECK_FAILS(make(model, "json_schema", NULL, &grammar, &error), KETTE_E_INVALID_ARGUMENT, "JSON");
  CHECK_FAILS(make(model, "regex", "(?=a)", &grammar, &error), KETTE_E_UNSUPPORTED, "look-ahead");
  CHECK_FAILS(make(model, "regex", "a{999999999}", &grammar, &error), KETTE_E_BUDGET, "repeated");
  CHECK_FAILS(make(model, "json", "{}", &grammar, &error), KETTE_E_INVALID_ARGUMENT, "json_schema");
  CHECK_FAILS(make(model, "yaml", "", &grammar, &error), KETTE_E_INVALID_ARGUMENT, "yaml");
  CHECK_INT(make(NULL, "json", NULL, &grammar, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(make(model, NULL, "", &grammar, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(make(model, "json", NULL, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_grammar_new(model, "regex", NULL, 1, &grammar, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK(grammar == (kette_grammar*)&failures);

  /* A grammar keeps its model alive. */
  CHECK_INT(make(model, "json", NULL, &grammar, NULL), KETTE_OK);
  kette_model_unref(model);
  kette_model_unref(full);
  kette_runtime_unref(runtime);
  kette_grammar_unref(grammar);
  return failures != 0;
}
