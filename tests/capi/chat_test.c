/* Group 8: messages to a prompt, by a template that the host's file system gives beside a vocabulary. */
#include "check.h"

static const char template_text[] =
    "{%- if tools %}[tools {{ tools | length }}]{% endif -%}"
    "{%- for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('no such role') }}{% endif %}{% endfor -%}"
    "{%- if name is defined %}[{{ name }}]{% endif -%}"
    "{%- if ask_time is defined %}{{ strftime_now('%d %b %Y') }}{% endif -%}"
    "{%- if add_generation_prompt %}<assistant>{% endif -%}";
static const char broken_template[] = "{% if %}";

struct folder {
  struct bytes vocabulary;
  const char* template_text;
};
static int32_t open_file(void* user, const char* name, void** file, uint64_t* size) {
  struct folder* folder = user;
  if (strcmp(name, "m/tokenizer.json") == 0) {
    *file = folder->vocabulary.data;
    *size = folder->vocabulary.size;
  } else if (strcmp(name, "m/chat_template.jinja") == 0 && folder->template_text != NULL) {
    *file = (void*)(uintptr_t)folder->template_text;
    *size = strlen(folder->template_text);
  } else {
    return 2;
  }
  return 0;
}
static int64_t read_at(void* user, void* file, uint64_t offset, void* dst, size_t n) {
  (void)user;
  memcpy(dst, (const char*)file + offset, n);
  return (int64_t)n;
}
static kette_model* open_folder(kette_runtime* runtime, struct folder* folder) {
  kette_model* model = NULL;
  SIZED(kette_vfs, vfs);
  SIZED(kette_model_params, params);
  vfs.user = folder;
  vfs.open = open_file;
  vfs.read_at = read_at;
  params.vfs = &vfs;
  params.flags = KETTE_MODEL_VOCAB_ONLY;
  CHECK_INT(kette_model_open(runtime, "m/tokenizer.json", &params, &model, NULL), KETTE_OK);
  REQUIRE(model != NULL);
  return model;
}

static void check_prompt(const kette_chat* chat, uint32_t flags, const char* expected) {
  kette_buf* text = NULL;
  kette_error* error = NULL;
  if (kette_chat_render(chat, flags, &text, &error) != KETTE_OK) {
    fprintf(stderr, "%s\n", kette_error_message(error));
    ++failures;
  } else if (kette_buf_size(text) != strlen(expected) ||
             memcmp(kette_buf_data(text), expected, strlen(expected)) != 0) {
    fprintf(stderr, "prompt %.*s, expected %s\n", (int)kette_buf_size(text), (const char*)kette_buf_data(text),
            expected);
    ++failures;
  }
  kette_error_free(error);
  kette_buf_free(text);
}
#define TEXT(s) s, strlen(s)

int main(void) {
  kette_runtime* runtime = new_runtime(1);
  struct folder folder = {read_file(KETTE_GOLDEN_DIR "/models/llama/hf/tokenizer.json"), template_text};
  kette_model* model = open_folder(runtime, &folder);
  kette_chat* chat = NULL;
  kette_buf* text = NULL;
  CHECK_INT(kette_chat_new(model, &chat, NULL), KETTE_OK);
  REQUIRE(chat != NULL);
  kette_model_unref(model); /* the chat keeps it alive */
  check_prompt(chat, 0, "<assistant>");
  CHECK_INT(kette_chat_add(chat, "system", TEXT("Be \"brief\"."), NULL), KETTE_OK);
  CHECK_INT(kette_chat_add(chat, "user", NULL, 0, NULL), KETTE_OK);
  check_prompt(chat, 0, "<system>Be \"brief\".<user><assistant>");
  check_prompt(chat, KETTE_CHAT_NO_GENERATION_PROMPT, "<system>Be \"brief\".<user>");
  CHECK_INT(
      kette_chat_add_json(
          chat, TEXT("[{\"role\": \"assistant\", \"content\": \"A\"}, {\"role\": \"user\", \"content\": \"\\u00fc\"}]"),
          NULL),
      KETTE_OK);
  CHECK_INT(kette_chat_add_json(chat, TEXT("{\"role\": \"assistant\", \"content\": \"B\"}"), NULL), KETTE_OK);
  check_prompt(chat, 1, "<system>Be \"brief\".<user><assistant>A<user>\xc3\xbc<assistant>B");
  /* What is refused adds nothing. */
  CHECK_INT(kette_chat_add_json(chat, TEXT("[{\"role\": \"user\", \"content\": \"C\"}, 5]"), NULL),
            KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_add_json(chat, TEXT("{\"role\": \"user\""), NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_add(chat, "", TEXT("x"), NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_add(chat, NULL, TEXT("x"), NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_add(NULL, "user", TEXT("x"), NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_add(chat, "user", NULL, 1, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_set_tools_json(chat, TEXT("{}"), NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_set_variables_json(chat, TEXT("[]"), NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_render(chat, 0, NULL, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK_INT(kette_chat_render(chat, 8, &text, NULL), KETTE_E_INVALID_ARGUMENT);
  check_prompt(chat, 1, "<system>Be \"brief\".<user><assistant>A<user>\xc3\xbc<assistant>B");
  kette_chat_free(chat);

  /* Tools, variables, time. */
  chat = NULL;
  model = open_folder(runtime, &folder);
  CHECK_INT(kette_chat_new(model, &chat, NULL), KETTE_OK);
  CHECK_INT(kette_chat_set_tools_json(chat, TEXT("[{\"type\": \"function\"}, {}]"), NULL), KETTE_OK);
  CHECK_INT(kette_chat_set_variables_json(chat, TEXT("{\"name\": \"n\", \"ask_time\": true}"), NULL), KETTE_OK);
  CHECK(kette_chat_render(chat, 0, &text, NULL) < 0); /* nobody said what time it is */
  CHECK(text == NULL);
  CHECK_INT(kette_chat_set_now(chat, TEXT("2026-01-02T03:04:05"), NULL), KETTE_OK);
  check_prompt(chat, 0, "[tools 2][n]02 Jan 2026<assistant>");
  CHECK_INT(kette_chat_add(chat, "stranger", TEXT("x"), NULL), KETTE_OK);
  CHECK_FAILS(kette_chat_render(chat, 0, &text, &error), KETTE_E_INVALID_ARGUMENT, "no such role");
  kette_chat_free(chat);
  kette_chat_free(NULL);
  kette_model_unref(model);

  /* No template, and one that cannot be read: the model opens, a chat does not. */
  chat = NULL;
  folder.template_text = NULL;
  model = open_folder(runtime, &folder);
  CHECK_FAILS(kette_chat_new(model, &chat, &error), KETTE_E_UNSUPPORTED, "no chat template");
  kette_model_unref(model);
  folder.template_text = broken_template;
  model = open_folder(runtime, &folder);
  CHECK_FAILS(kette_chat_new(model, &chat, &error), KETTE_E_UNSUPPORTED, "chat template");
  kette_model_unref(model);
  CHECK_INT(kette_chat_new(NULL, &chat, NULL), KETTE_E_INVALID_ARGUMENT);
  CHECK(chat == NULL);
  free(folder.vocabulary.data);
  kette_runtime_unref(runtime);
  return failures != 0;
}
