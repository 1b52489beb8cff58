/* Experimental functions: the profile of a session's passes. */
#include "check.h"
#include "kette/experimental.h"

static void test_profile(void) {
  kette_session_set_profile_fn set_profile =
      (kette_session_set_profile_fn)kette_get_experimental(KETTE_SESSION_SET_PROFILE);
  kette_session_profile_fn profile = (kette_session_profile_fn)kette_get_experimental(KETTE_SESSION_PROFILE);
  kette_runtime* runtime = new_runtime(2);
  kette_model* model = open_tiny(runtime, 0);
  kette_session* session = new_session(model);
  struct tokens plain, measured;
  kette_buf* json = NULL;
  REQUIRE(set_profile != NULL);
  REQUIRE(profile != NULL);
  CHECK_FAILS(profile(session, &json, &error), KETTE_E_MISUSE, "never");
  CHECK_FAILS(set_profile(session, 2, &error), KETTE_E_INVALID_ARGUMENT, "on");
  CHECK_FAILS(set_profile(NULL, 1, &error), KETTE_E_INVALID_ARGUMENT, "session");
  plain = generate_greedy(session, 4);
  CHECK_INT(kette_session_rewind(session, 0, NULL), KETTE_OK);
  CHECK_INT(set_profile(session, 1, NULL), KETTE_OK);
  measured = generate_greedy(session, 4);
  CHECK(same_tokens(&plain, &measured));
  CHECK_INT(set_profile(session, 0, NULL), KETTE_OK);
  CHECK_FAILS(profile(session, NULL, &error), KETTE_E_INVALID_ARGUMENT, "json");
  CHECK_FAILS(profile(NULL, &json, &error), KETTE_E_INVALID_ARGUMENT, "session");
  CHECK_INT(profile(session, &json, NULL), KETTE_OK);
  CHECK(strncmp(kette_buf_data(json), "{\"threads\":2,\"passes\":", 22) == 0);
  CHECK(strstr(kette_buf_data(json), "\"name\":\"attend\"") != NULL);
  CHECK(strstr(kette_buf_data(json), "\"name\":\"choose token\"") != NULL);
  kette_buf_free(json);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
}

int main(void) {
  test_profile();
  return failures != 0;
}
