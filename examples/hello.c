/* Ask a model a question and print the answer as it comes: hello_c MODEL.gguf ["question"] */
#include <kette/kette.h>
#include <stdio.h>
#include <string.h>

static int32_t print_event(void* user, const kette_event* event) {
  (void)user;
  if (event->type != KETTE_EVENT_TEXT) return 0; /* what the model thinks, tools that it calls, the end */
  fwrite(event->text, 1, event->text_len, stdout);
  fflush(stdout);
  return 0; /* not 0 would stop the answer */
}

int main(int argc, char** argv) {
  if (argc < 2) return fprintf(stderr, "usage: %s MODEL.gguf [\"question\"]\n", argv[0]), 2;
  const char* question = argc > 2 ? argv[2] : "What is the capital of France? Answer in one short paragraph.";
  kette_sampling greedy = {0}; /* always the likeliest token: temperature 0 */
  greedy.struct_size = sizeof greedy;
  greedy.set = KETTE_SET_TEMPERATURE;
  kette_gen_params params = {0};
  params.struct_size = sizeof params;
  params.max_tokens = 200;
  params.sampling = &greedy;

  kette_runtime* runtime = NULL;
  kette_model* model = NULL;
  kette_chat* chat = NULL;
  kette_session* session = NULL;
  kette_error* error = NULL;
  const int failed = kette_runtime_new(NULL, &runtime, &error) < 0 ||
                     kette_model_open(runtime, argv[1], NULL, &model, &error) < 0 ||
                     kette_chat_new(model, &chat, &error) < 0 ||
                     kette_chat_add(chat, "user", question, strlen(question), &error) < 0 ||
                     kette_session_new(model, NULL, &session, &error) < 0 ||
                     kette_session_begin_chat(session, chat, &params, &error) < 0 ||
                     kette_session_run(session, print_event, NULL, &error) < 0;
  if (failed)
    fprintf(stderr, "%s\n", kette_error_message(error));
  else
    putchar('\n');

  kette_session_free(session);
  kette_chat_free(chat);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  kette_error_free(error);
  return failed;
}
