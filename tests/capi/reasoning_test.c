/* What a model thinks, what it answers, what it must match: typed events through the C ABI, by the model that this
 * repository ships. */
#include <math.h>

#include "check.h"

struct answer {
  char text[4096], thought[8192];
  uint32_t tokens, thought_tokens, texts_before_thought_ended;
  int32_t finish, reasoning_end;
  int wrong_logprobs;
};
static void append(char* to, size_t size, const kette_event* event) {
  const size_t n = strlen(to);
  REQUIRE(n + event->text_len < size);
  memcpy(to + n, event->text, event->text_len);
  to[n + event->text_len] = 0;
}
static int32_t keep(void* user, const kette_event* event) {
  struct answer* out = user;
  if (event->type == KETTE_EVENT_TEXT) append(out->text, sizeof out->text, event);
  if (event->type == KETTE_EVENT_REASONING) {
    append(out->thought, sizeof out->thought, event);
    if (out->text[0] != 0) ++out->texts_before_thought_ended;
  }
  if (event->token >= 0) ++out->tokens;
  if (event->type == KETTE_EVENT_DONE) {
    out->finish = event->finish_reason;
    out->reasoning_end = event->reasoning_end;
  }
  if (event->n_top > 0) {
    double sum = 0;
    uint32_t i;
    for (i = 0; i < event->n_top; ++i) sum += exp((double)event->top[i].logprob);
    if (sum > 1.0001 || event->top[0].logprob < event->logprob - 1e-4f || event->logprob > 0) ++out->wrong_logprobs;
  }
  return 0;
}

static int has(const kette_buf* buf, const char* word) {
  const char* data = kette_buf_data(buf);
  const size_t n = kette_buf_size(buf), length = strlen(word);
  size_t i;
  for (i = 0; i + length <= n; ++i)
    if (memcmp(data + i, word, length) == 0) return 1;
  return 0;
}

static kette_chat* ask(kette_model* model, const char* question) {
  kette_chat* chat = NULL;
  REQUIRE(kette_chat_new(model, &chat, NULL) == KETTE_OK);
  REQUIRE(kette_chat_add(chat, "user", question, strlen(question), NULL) == KETTE_OK);
  return chat;
}
static struct answer answer(kette_session* session, const kette_chat* chat, kette_gen_params* params) {
  struct answer out;
  SIZED(kette_sampling, greedy);
  SIZED(kette_metrics, metrics);
  memset(&out, 0, sizeof out);
  greedy.set = KETTE_SET_TEMPERATURE;
  params->sampling = &greedy;
  if (params->max_tokens == 0) params->max_tokens = 600;
  CHECK_INT(kette_session_begin_chat(session, chat, params, NULL), KETTE_OK);
  CHECK_INT(kette_session_run(session, keep, &out, NULL), KETTE_OK);
  CHECK_INT(kette_session_metrics(session, &metrics, NULL), KETTE_OK);
  out.thought_tokens = (uint32_t)metrics.reasoning_tokens;
  CHECK_INT(metrics.reasoning_end, out.reasoning_end);
  CHECK_INT(out.texts_before_thought_ended, 0);
  return out;
}

int main(void) {
  kette_runtime* runtime = new_runtime(2);
  kette_model* model = NULL;
  kette_session* session;
  kette_chat* chat;
  kette_grammar* grammar = NULL;
  kette_buf* json = NULL;
  struct answer out, other;

  REQUIRE(kette_model_open(runtime, KETTE_TINY_MODEL, NULL, &model, NULL) == KETTE_OK);
  session = new_session(model);
  chat = ask(model, "What is 127 + 58?");
  {
    SIZED(kette_gen_params, params);
    params.flags = KETTE_GENERATE_LOGPROBS;
    params.top_logprobs = 4;
    out = answer(session, chat, &params);
    CHECK(strstr(out.text, "185") != NULL);
    CHECK(strlen(out.thought) > strlen(out.text));
    CHECK(strstr(out.text, "think>") == NULL && strstr(out.thought, "think>") == NULL);
    CHECK_INT(out.finish, KETTE_FINISH_STOP);
    CHECK_INT(out.reasoning_end, KETTE_REASONING_END_MODEL);
    CHECK(out.thought_tokens > 0 && out.thought_tokens < out.tokens);
    CHECK_INT(out.wrong_logprobs, 0);
    CHECK_INT(kette_session_answer(session, &json, NULL), KETTE_OK);
    REQUIRE(json != NULL);
    CHECK(has(json, "\"reasoning_content\"") && has(json, "185"));
  }
  { /* The next turn: all but the last answer and the new question is there already. */
    SIZED(kette_gen_params, params);
    SIZED(kette_metrics, before);
    SIZED(kette_metrics, after);
    CHECK_INT(kette_session_metrics(session, &before, NULL), KETTE_OK);
    CHECK_INT(kette_chat_add_json(chat, kette_buf_data(json), kette_buf_size(json), NULL), KETTE_OK);
    CHECK_INT(kette_chat_add(chat, "user", "What is 9 - 4?", 14, NULL), KETTE_OK);
    out = answer(session, chat, &params);
    CHECK(strstr(out.text, "5") != NULL);
    CHECK_INT(kette_session_metrics(session, &after, NULL), KETTE_OK);
    CHECK(after.cached_tokens + 4 >= before.prompt_tokens && after.cached_tokens <= before.prompt_tokens);
    kette_chat_free(chat);
  }
  chat = ask(model, "What is 127 + 58?");
  { /* Off: not one token of thinking. */
    SIZED(kette_gen_params, params);
    params.reasoning = KETTE_REASONING_OFF;
    out = answer(session, chat, &params);
    CHECK_INT(out.thought_tokens, 0);
    CHECK(out.thought[0] == 0 && out.text[0] != 0);
    CHECK_INT(out.reasoning_end, KETTE_REASONING_END_NONE);
  }
  { /* A budget closes it, with the sentence that is given. */
    SIZED(kette_gen_params, params);
    params.reasoning_max_tokens = 12;
    params.reasoning_close = " Stop.";
    out = answer(session, chat, &params);
    CHECK_INT(out.reasoning_end, KETTE_REASONING_END_BUDGET);
    CHECK(strlen(out.thought) > 6 && strcmp(out.thought + strlen(out.thought) - 6, " Stop.") == 0);
    CHECK(out.text[0] != 0);
    params.reasoning_max_tokens = 0;
    params.reasoning_min_tokens = 400;
    params.max_tokens = 300;
    other = answer(session, chat, &params);
    CHECK_INT(other.reasoning_end, KETTE_REASONING_END_CUT);
    CHECK_INT(other.finish, KETTE_FINISH_LENGTH);
    CHECK(other.text[0] == 0);
  }
  { /* What the text must match holds after the thinking. */
    SIZED(kette_gen_params, params);
    REQUIRE(kette_grammar_new(model, "regex", "127 \\+ 58 = [0-9]{1,4}\\.", 25, &grammar, NULL) == KETTE_OK);
    params.grammar = grammar;
    out = answer(session, chat, &params);
    CHECK(strcmp(out.text, "127 + 58 = 185.") == 0);
    CHECK(out.thought_tokens > 0);
    params.grammar = NULL;
    kette_grammar_unref(grammar);
  }
  { /* Refusals name what was asked. */
    SIZED(kette_gen_params, params);
    params.reasoning = 2;
    CHECK_FAILS(kette_session_begin_chat(session, chat, &params, &error), KETTE_E_INVALID_ARGUMENT, "reasoning");
    params.reasoning = KETTE_REASONING_DEFAULT;
    params.tool_choice = KETTE_TOOLS_REQUIRED;
    CHECK_FAILS(kette_session_begin_chat(session, chat, &params, &error), KETTE_E_INVALID_ARGUMENT, "no tools");
    params.tool_choice = KETTE_TOOLS_AUTO;
    params.tool_name = "f";
    CHECK_FAILS(kette_session_begin_chat(session, chat, &params, &error), KETTE_E_INVALID_ARGUMENT, "tool_name");
    params.tool_name = NULL;
    params.top_logprobs = 3;
    CHECK_FAILS(kette_session_begin_chat(session, chat, &params, &error), KETTE_E_INVALID_ARGUMENT, "LOGPROBS");
    params.flags = KETTE_GENERATE_LOGPROBS;
    params.top_logprobs = 21;
    CHECK_FAILS(kette_session_begin_chat(session, chat, &params, &error), KETTE_E_INVALID_ARGUMENT, "at most 20");
    params.top_logprobs = 0;
    params.reasoning_max_tokens = 5;
    params.reasoning_min_tokens = 6;
    CHECK_FAILS(kette_session_begin_chat(session, chat, &params, &error), KETTE_E_INVALID_ARGUMENT, "at most");
    CHECK_FAILS(kette_session_begin_tokens(session, prompt, 4, &params, &error), KETTE_E_UNSUPPORTED, "not a chat");
  }
  kette_buf_free(json);
  kette_chat_free(chat);
  kette_session_free(session);
  kette_model_unref(model);
  kette_runtime_unref(runtime);
  return failures != 0;
}
