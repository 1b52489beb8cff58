/* Kette's C ABI: the one binary boundary. Everything else (the C++ headers, the Python package) is built on this file.
 *
 * Conventions
 *  - Fallible functions return kette_status: KETTE_OK, a benign positive (KETTE_MORE, KETTE_DONE) or a negative
 *    KETTE_E_*. With `err` not NULL a failure also stores an error object there, which the caller frees with
 *    kette_error_free; on success *err is left as it was. A failed call changes nothing else.
 *  - Structs go by pointer; struct_size = sizeof(the struct) comes first, zero means the default, and a struct
 *    larger than the library's is accepted only if its unknown tail is zero (else KETTE_E_STRUCT_TOO_NEW); one with
 *    less than the fields up to flags, or above 64 KiB, is KETTE_E_INVALID_ARGUMENT. Structs that the library fills are
 *    filled as far as struct_size goes. Unknown flags are KETTE_E_INVALID_ARGUMENT. A NULL params pointer means all
 *    defaults.
 *  - Text is UTF-8, given as pointer + length; paths are NUL-terminated UTF-8. Sizes are bytes, times microseconds.
 *  - `const` handles may be used by several threads at once, non-const ones by one thread at a time; different
 *    objects are independent. Thread classes in brackets: [T0] any thread at any time, [T1] concurrently on one
 *    object, [T2] the caller serialises per object. Objects may move between threads.
 *  - Callbacks: [CB-C] only on the thread inside the API call; [CB-W] maybe on worker threads, several at once. From a
 *    callback only [T0] functions may be called, *_free and *_unref of objects that are not in use, and the errors'
 *    and buffers' functions; others return KETTE_E_REENTRANT. Callbacks must not throw or longjmp.
 *  - A hook's destroy is called exactly once for each call that was given the hook and could read the struct: when the
 *    last object that uses it ends, or before that call returns if it fails.
 *  - In the child of a fork, objects of a runtime with threads answer KETTE_E_FORKED; *_free and *_unref work, and leave
 *    a little memory behind. A runtime without threads (KETTE_RUNTIME_NO_THREADS or n_threads 1) works on in the child
 *    if no other thread was inside a call on it when the process forked.
 *  - The library never prints, exits, aborts, installs signal handlers, reads the environment or throws.
 *  - *_ref and *_unref count references [T1]; an object keeps alive what it was made from. NULL is accepted by
 *    every *_unref and *_free.
 */
#ifndef KETTE_KETTE_H
#define KETTE_KETTE_H
/* clang-format off */
#include <stddef.h>
#include <stdint.h>

#ifndef KETTE_API
#if defined(__GNUC__)
#define KETTE_API __attribute__((visibility("default")))
#else
#define KETTE_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define KETTE_VERSION_MAJOR 0
#define KETTE_VERSION_MINOR 1
#define KETTE_VERSION_PATCH 0
/* 0x00MMmmpp of this header. */
#define KETTE_VERSION ((KETTE_VERSION_MAJOR << 16) | (KETTE_VERSION_MINOR << 8) | KETTE_VERSION_PATCH)

typedef int32_t kette_status;
typedef int32_t kette_token;
typedef struct kette_runtime kette_runtime; /* threads, ISA, hooks; refcounted                 */
typedef struct kette_model kette_model;     /* immutable weights and vocabulary; refcounted     */
typedef struct kette_adapter kette_adapter; /* a LoRA adapter of one model; immutable, refcounted */
typedef struct kette_chat kette_chat;       /* a list of messages being built                   */
typedef struct kette_grammar kette_grammar; /* what an answer may be, compiled; refcounted      */
typedef struct kette_session kette_session; /* one conversation: KV cache and sampler           */
typedef struct kette_scheduler kette_scheduler; /* advances many sessions as one batch          */
typedef struct kette_cancel kette_cancel;   /* an atomic flag                                   */
typedef struct kette_error kette_error;     /* code and message; the caller frees it            */
typedef struct kette_buf kette_buf;         /* bytes owned by the library, freed by the caller  */

#define KETTE_OK 0
#define KETTE_MORE 1 /* not finished: call again     */
#define KETTE_DONE 2 /* finished: nothing more comes */
#define KETTE_E_INVALID_ARGUMENT (-1)
#define KETTE_E_STRUCT_TOO_NEW (-2)
#define KETTE_E_UNSUPPORTED (-3)
#define KETTE_E_NOT_FOUND (-4)
#define KETTE_E_IO (-5)
#define KETTE_E_FORMAT (-6)
#define KETTE_E_CORRUPT (-7)
#define KETTE_E_OUT_OF_MEMORY (-8)
#define KETTE_E_BUDGET (-9)
#define KETTE_E_CONTEXT_FULL (-10)
#define KETTE_E_CANCELLED (-11)
#define KETTE_E_BUSY (-12)
#define KETTE_E_REENTRANT (-13)
#define KETTE_E_FORKED (-14)
#define KETTE_E_JIT_REFUSED (-15)
#define KETTE_E_CPU (-16)
#define KETTE_E_GRAMMAR_DEAD_END (-17)
#define KETTE_E_INTERNAL (-18)
#define KETTE_E_HOST (-19)    /* a host callback said no           */
#define KETTE_E_NUMERIC (-20) /* logits that are not numbers       */
#define KETTE_E_MISUSE (-21)  /* calls in an order that has no meaning */

/* ---- 1 version and features [T0] ---- */
KETTE_API uint32_t kette_version(void);                   /* 0x00MMmmpp of the loaded library */
KETTE_API const char* kette_build_info(void);             /* static JSON: version, git revision, compiler, oneDNN, ISAs */
KETTE_API int32_t kette_has_feature(const char* name);    /* 1 or 0; an unknown name is 0. Names: gguf, chat_template,
                                                             exact, deterministic, fork, vfs, executor, allocator,
                                                             api_table, grammar, reasoning, tool_calls, logprobs, lora,
                                                             embeddings, save, scheduler */
KETTE_API uint32_t kette_struct_size(const char* name);   /* bytes of a public struct, 0 if unknown: a binding's
                                                             check of its mirror */
/* All functions as a table for hosts that load the library themselves: a static struct kette_api (kette/api.h). NULL if
 * this library is older than min_version (a KETTE_VERSION) or has another ABI: until 1.0 another minor version. */
KETTE_API const void* kette_get_api(uint32_t min_version);
/* A function that is not part of the ABI yet, by its name and the version it came with; NULL if there is none. The
 * caller casts it. See kette/experimental.h. */
typedef void (*kette_function)(void);
KETTE_API kette_function kette_get_experimental(const char* name_since);

/* ---- 2 errors [T1] ---- */
KETTE_API kette_status kette_error_code(const kette_error* e);
KETTE_API const char* kette_error_message(const kette_error* e); /* UTF-8, valid until e is freed; "" for NULL */
KETTE_API int64_t kette_error_os_code(const kette_error* e);     /* errno where the system said no, else 0 */
KETTE_API void kette_error_free(kette_error* e);
KETTE_API const char* kette_status_name(kette_status s); /* static: "KETTE_E_IO" */

/* ---- 3 host hooks, all optional, per runtime or per open ---- */
#define KETTE_MEMORY_WEIGHTS 1u /* weights that are copied or converted; mapped files are not memory of this kind */
#define KETTE_MEMORY_KV_CACHE 2u
#define KETTE_MEMORY_SCRATCH 3u
/* Where large memory comes from: weights, KV caches, and the scratch of steps and threads. (Strings, tables and other
 * small objects stay on the C++ heap.) alloc: n bytes, n > 0, aligned to `align`, a power of two; `tag` is a
 * KETTE_MEMORY_*. NULL makes the call KETTE_E_OUT_OF_MEMORY, without effect. free_ gets what alloc was given. Both may be
 * called by any thread that is inside a call, several at once [CB-W]; never by Kette's workers. They and `user` must
 * stay valid until the runtime and all that was made from it have ended. */
typedef struct kette_allocator {
  uint32_t struct_size, reserved;
  void* user;
  void* (*alloc)(void* user, size_t n, size_t align, uint32_t tag);
  void (*free_)(void* user, void* p, size_t n, size_t align, uint32_t tag);
} kette_allocator;
typedef void (*kette_task)(void* arg, uint32_t i, uint32_t n);
/* The host's threads instead of Kette's. parallel_for runs t(arg, i, n) once for each i below n, in any order and on any
 * threads, and returns when all are done [CB-C]; n is at most n_workers, which is how many may run at once and fixed
 * for the runtime's life. in_worker (may be NULL): not 0 if the calling thread is one of the host's workers, where
 * waiting for others could block for ever; Kette then does the work on the calling thread alone. The functions and
 * `user` must stay valid until the runtime and all that was made from it have ended. */
typedef struct kette_executor {
  uint32_t struct_size, n_workers;
  void* user;
  void (*parallel_for)(void* user, uint32_t n, kette_task t, void* arg);
  int32_t (*in_worker)(void* user);
} kette_executor;
/* Messages at or above min_level: 0 debug, 1 info, 2 warning, 3 error [CB-W]. message has `length` bytes and is not
 * NUL-terminated. destroy (may be NULL): see above. */
typedef struct kette_logger {
  uint32_t struct_size;
  int32_t min_level;
  void* user;
  void (*log)(void* user, int32_t level, const char* component, const char* message, size_t length);
  void (*destroy)(void* user);
} kette_logger;
/* A virtual file system for model files. open: 0 and *file, *size on success, else a positive errno (ENOENT where there
 * is no such file: some are optional). read_at: like pread, the number of bytes or a negative errno
 * [CB-W]. map: optional (NULL), the bytes in place until unmap, or NULL where it cannot. close is called once per opened
 * file. The functions and `user` must stay valid until the models opened through them have ended; destroy (may be NULL):
 * see above. */
typedef struct kette_vfs {
  uint32_t struct_size, reserved;
  void* user;
  int32_t (*open)(void* user, const char* name, void** file, uint64_t* size);
  int64_t (*read_at)(void* user, void* file, uint64_t offset, void* dst, size_t n);
  const void* (*map)(void* user, void* file, uint64_t offset, size_t n);
  void (*unmap)(void* user, void* file, const void* p, size_t n);
  void (*close)(void* user, void* file);
  void (*destroy)(void* user);
} kette_vfs;

/* ---- 4 runtime ---- */
#define KETTE_RUNTIME_NO_THREADS 1u /* all work on the calling thread; executor is not used */
#define KETTE_RUNTIME_NO_JIT 2u     /* no code is generated at run time (slower prefill) */
#define KETTE_RUNTIME_NO_AMX 4u     /* do not ask the system for AMX */
#define KETTE_PRIORITY_BELOW_NORMAL 0 /* nice value 5 above the creating thread's */
#define KETTE_PRIORITY_NORMAL 1       /* as the creating thread */
#define KETTE_PRIORITY_IDLE (-1)      /* nice value 19 */
typedef struct kette_runtime_params {
  uint32_t struct_size, flags;
  int32_t n_threads;       /* the caller's included; 0: the physical cores this process may use (of the CPU mask) */
  int32_t thread_priority; /* KETTE_PRIORITY_* of Kette's own threads, best effort; never real-time */
  uint32_t spin_us;        /* how long a worker waits awake between two parts of a step; 0: 50 */
  uint32_t quantum_us;     /* how long a stretch of work between two safe points may be; 0: 1000. An aim: see
                              kette_session_step */
  uint64_t cpu_mask_lo, cpu_mask_hi; /* CPUs 0 to 63 and 64 to 127 for Kette's own threads; both 0: as the creating
                                        thread. Like the priority, never applied to the caller's thread */
  const char* max_isa; /* NULL: the best this CPU has; "ref", "avx2", "avx512", "avx512_bf16", "amx" */
  const kette_allocator* allocator; /* NULL: the C++ heap */
  const kette_executor* executor;   /* NULL: Kette's own threads */
  const kette_logger* logger;       /* NULL: silence */
} kette_runtime_params;
/* The structs are copied; none need outlive the call. KETTE_E_CPU: the CPU lacks max_isa. KETTE_E_INVALID_ARGUMENT: also
 * a CPU mask of which this process may use nothing.
 * max_isa and NO_AMX reach generated code (oneDNN) too. That part has one setting for the process, made by the first
 * runtime that generates code: a later one that asks for less keeps the wider setting for its generated matmuls, with a
 * warning to its logger, unless it has NO_JIT. AMX, once permitted by the system, is permitted to the whole process, and
 * small signal stacks (sigaltstack) then fail: hosts with such stacks give NO_AMX to their first runtime. */
KETTE_API kette_status kette_runtime_new(const kette_runtime_params* params, kette_runtime** out, kette_error** err);
KETTE_API void kette_runtime_ref(kette_runtime* runtime);
KETTE_API void kette_runtime_unref(kette_runtime* runtime); /* the last one joins Kette's own threads */
/* JSON: isa (in use), cpu_isa (this CPU's), generated_code (whether), generated_isa (oneDNN's limit), bf16_panels,
 * threads, usable_cores, quantum_us. [T1] */
KETTE_API kette_status kette_runtime_describe_cpu(const kette_runtime* runtime, kette_buf** json, kette_error** err);

/* ---- 5 cancel [T0] ---- */
/* A flag that ends work under way: given to kette_model_params, kette_gen_params or kette_embed, which keep what they
 * need of it, so it may be freed any time (but not while another thread is in one of these functions). */
KETTE_API kette_cancel* kette_cancel_new(void);              /* NULL only if out of memory */
KETTE_API void kette_cancel_trigger(kette_cancel* cancel);   /* also from a signal handler */
KETTE_API void kette_cancel_reset(kette_cancel* cancel);     /* to be used again */
KETTE_API void kette_cancel_unref(kette_cancel* cancel);

/* ---- 6 model ---- */
#define KETTE_MODEL_READ 1u          /* copy the file into memory instead of mapping it */
#define KETTE_MODEL_VOCAB_ONLY 2u    /* tokenizer and chat template only; also opens a tokenizer.json, or a
                                        directory with one, that has no weights */
#define KETTE_MODEL_EXACT 4u         /* float32 activations and KV cache: the reference's numbers, slowly */
#define KETTE_MODEL_DETERMINISTIC 8u /* one order of accumulation however many tokens go in at once */
#define KETTE_MODEL_NO_PREFIX_CACHE 16u /* sessions take nothing from each other, and nothing is kept of ended ones */
typedef struct kette_model_params {
  uint32_t struct_size, flags;
  /* NULL or "as_stored": as stored. "q8_0", "q4_0" or "q4_k": matrices are encoded so while the model opens, the embedding and the
   * output matrix always to q8_0; norms, biases, routers and what would not get smaller stay. For each part its own:
   * "experts=q4_k,attention=q8_0,mlp=q8_0,embedding=q8_0,head=q8_0"; parts not named stay as stored. */
  const char* weight_type;
  /* Bytes that the weights and one session with plan_context tokens may take, mapped files included; 0: no limit.
   * Known from the headers: more is KETTE_E_BUDGET before anything is allocated, with the numbers in the message.
   * Sessions that alone would exceed it are refused too; how many there are at once is the host's affair. */
  uint64_t memory_budget;
  const kette_vfs* vfs;    /* NULL: the file system */
  kette_cancel* cancel;    /* checked after each tensor: KETTE_E_CANCELLED */
  int32_t (*progress)(void* user, uint64_t done, uint64_t total); /* bytes [CB-C]; not 0 stops: KETTE_E_HOST */
  void* progress_user;
  /* NULL: encoded matrices live in memory and are encoded anew each time. Else an existing folder of the file system
   * (no vfs, no open_memory) that keeps them in a file, kette-KEY.gguf: the first opening encodes into it and maps it,
   * later ones map it at once. The key is a hash of the model's tensor table, of samples of its tensors' bytes and of
   * weight_type, so one folder serves many models; whoever edits a few numbers of a model's file in place deletes its
   * pack. Others see the file once it is whole; one that is not the expected one is made anew. If it cannot be made (no
   * space, no right to write), the model opens without, and kette_model_info says why. Whoever may write to the folder
   * may change the weights; files no longer wanted are the host's to delete. */
  const char* pack_dir;
  uint32_t plan_context; /* tokens of the session that memory_budget and probe reckon with; 0: a session's default */
  uint32_t reserved;     /* 0 */
  /* Sessions of a model that begin with the same tokens (and have the same kv_type) share what was evaluated of them, 64
   * tokens at a time. So many bytes of it are kept after their sessions have ended, what was used last first; they count
   * in memory_budget. 0: what memory_budget leaves, at most 64 MiB, of which plans know nothing. */
  uint64_t prefix_cache_bytes;
} kette_model_params;
/* Open a model: a GGUF file (of a split one the first), or a directory with a Hugging Face checkpoint (config.json,
 * model.safetensors or model.safetensors.index.json, tokenizer.json), or one of those weight files. [T1 on runtime] */
KETTE_API kette_status kette_model_open(kette_runtime* runtime, const char* utf8_path, const kette_model_params* params,
                                        kette_model** out, kette_error** err);
/* Open a model that lies in memory. The bytes stay in use until `release` (if set) is called, once: when the last
 * reference ends, or before this call returns if it fails. */
KETTE_API kette_status kette_model_open_memory(kette_runtime* runtime, const void* data, size_t n,
                                               void (*release)(void* user), void* release_user,
                                               const kette_model_params* params, kette_model** out, kette_error** err);
/* JSON from the headers alone: as kette_model_info as far as they say, active_parameters, kv_bytes_per_token (in
 * halves), and
 *   memory: memory_bytes that this process may use, context in tokens with its kv_bytes and scratch_bytes (an estimate
 *     from above), budget_bytes, and for each of weight_types (as_stored, q8_0, q4_0, q4_k and the one of `params`)
 *     weight_bytes, of them mapped_bytes and resident_bytes, prefix_cache_bytes where asked for, bytes of all together,
 *     fits, within_budget
 *   machine: can_run, as `params` would open it; architecture_supported, isa (ref: slow), threads; fits_in_memory (if
 *     not, mapped weights come from the disk again and again); reasons, why it cannot run
 * A GGUF of an architecture that Kette does not know is KETTE_E_UNSUPPORTED. */
KETTE_API kette_status kette_model_probe(kette_runtime* runtime, const char* utf8_path, const kette_model_params* params,
                                         kette_buf** json, kette_error** err);
KETTE_API void kette_model_ref(kette_model* model);
KETTE_API void kette_model_unref(kette_model* model);
/* JSON: architecture, name, parameters, vocab_size, context_length, hidden_size, num_hidden_layers, weight_bytes,
 * file_bytes, tensor_types, isa, mode, has_chat_template, bos_token_id, eos_token_ids; resident_weight_bytes that were
 * read or encoded into memory; active_parameters; kv_bytes_per_token; num_attention_heads, num_key_value_heads, head_dim;
 * tokenizer_tokens; generation, as the makers sample it; with a chat template thinking (open and close, its tags;
 * control and variable, how it is turned on) and tool_calls; prefix_cache_bytes at most, 0 without; memory as planned;
 * with pack_dir also pack: state ("found", "written", "failed", or "not_needed" where nothing is encoded), file, bytes,
 * rejected (why a file that was there was not taken), problem (why it failed). [T1] */
KETTE_API kette_status kette_model_info(const kette_model* model, kette_buf** json, kette_error** err);
/* A number of kette_model_info by its key, or `fallback`. [T1] */
KETTE_API int64_t kette_model_get_i64(const kette_model* model, const char* key, int64_t fallback);

/* ---- 7 tokenizer [T1] ---- */
#define KETTE_TOKENIZE_ADD_SPECIAL 1u   /* put BOS where the model's tokenizer is set to */
#define KETTE_TOKENIZE_PARSE_SPECIAL 2u /* spellings of special tokens become those tokens; else they stay text */
#define KETTE_DETOKENIZE_SKIP_SPECIAL 1u
/* Writes up to `cap` tokens (bytes) and stores in *needed how many there are. More than `cap`:
 * KETTE_E_INVALID_ARGUMENT, nothing written, *needed set. cap = 0 with out = NULL asks for the size and is OK.
 * Any bytes can be tokenized. Vocabularies that lack some bytes have an unknown token, which then stands for them, as the
 * model's own tokenizer has it (SmolLM2: most control characters and bytes that UTF-8 never has). */
KETTE_API kette_status kette_tokenize(const kette_model* model, const char* text, size_t n, uint32_t flags,
                                      kette_token* out, size_t cap, size_t* needed, kette_error** err);
KETTE_API kette_status kette_detokenize(const kette_model* model, const kette_token* tokens, size_t n, uint32_t flags,
                                        char* out, size_t cap, size_t* needed, kette_error** err);

/* ---- 8 chat template [T2] ---- */
#define KETTE_CHAT_NO_GENERATION_PROMPT 1u /* do not open the assistant's turn */
/* KETTE_E_UNSUPPORTED if the model has no template, or one that Kette cannot read. Keeps the model alive. */
KETTE_API kette_status kette_chat_new(kette_model* model, kette_chat** out, kette_error** err);
/* Any role; what it may be is up to the template. */
KETTE_API kette_status kette_chat_add(kette_chat* chat, const char* role, const char* text, size_t n, kette_error** err);
/* One message object, or an array of them, as in OpenAI's API. */
KETTE_API kette_status kette_chat_add_json(kette_chat* chat, const char* json, size_t n, kette_error** err);
/* An array of tools, as in OpenAI's API; replaces those set before. */
KETTE_API kette_status kette_chat_set_tools_json(kette_chat* chat, const char* json, size_t n, kette_error** err);
/* An object whose members become template variables, such as {"enable_thinking": false}. */
KETTE_API kette_status kette_chat_set_variables_json(kette_chat* chat, const char* json, size_t n, kette_error** err);
/* The time that the template may see, ISO 8601 "2026-01-02T03:04:05". Without it a template that asks fails. */
KETTE_API kette_status kette_chat_set_now(kette_chat* chat, const char* iso8601, size_t n, kette_error** err);
/* The prompt as UTF-8 text. Fails as the template does: KETTE_E_INVALID_ARGUMENT where it refuses the messages. */
KETTE_API kette_status kette_chat_render(const kette_chat* chat, uint32_t flags, kette_buf** text, kette_error** err);
KETTE_API void kette_chat_free(kette_chat* chat);

/* ---- 9 grammar [T1] ---- */
/* What an answer may be, for the vocabulary of `model`; immutable, for any number of sessions of that model at once, and
 * kept alive by those that use it. `kind` says what the n bytes at `src` are:
 *   "gbnf"         llama.cpp's grammar notation, from the rule `root`; left recursion is refused
 *   "json_schema"  a JSON schema: type, properties (written in the order listed), required, additionalProperties, items,
 *                  prefixItems, minItems, maxItems, enum, const, anyOf, oneOf, allOf, $ref within the schema, minLength,
 *                  maxLength, pattern, format, minimum, maximum and their exclusive forms, multipleOf (1 or a power of
 *                  ten below), nullable, patternProperties, propertyNames, minProperties, maxProperties. Alternatives of
 *                  oneOf must be told apart by what is written. Where properties are listed, others are written only
 *                  with additionalProperties
 *   "json"         any JSON value; n is 0
 *   "regex"        a regular expression that the whole answer matches, in ECMAScript's syntax
 * Nothing is ignored in silence: a keyword that would restrict the answer and is not understood is
 * KETTE_E_UNSUPPORTED, with the keyword and where it stands in the message. A source that is not of its kind is
 * KETTE_E_INVALID_ARGUMENT, one that is too large KETTE_E_BUDGET. Sources may come from strangers. */
KETTE_API kette_status kette_grammar_new(const kette_model* model, const char* kind, const char* src, size_t n,
                                         kette_grammar** out, kette_error** err);
KETTE_API void kette_grammar_ref(kette_grammar* grammar);
KETTE_API void kette_grammar_unref(kette_grammar* grammar);

/* ---- 10 session and generation [T2] ---- */
/* Bits of kette_sampling::set; a field without its bit has the model's own default (generation defaults of the
 * file where it has them, with do_sample false for temperature 0; else temperature 1 and everything else off). */
#define KETTE_SET_TEMPERATURE 1u
#define KETTE_SET_TOP_P 2u
#define KETTE_SET_MIN_P 4u
#define KETTE_SET_REPETITION_PENALTY 8u
#define KETTE_SET_PRESENCE_PENALTY 16u
#define KETTE_SET_FREQUENCY_PENALTY 32u
#define KETTE_SET_TOP_K 64u
#define KETTE_SET_PENALTY_WINDOW 128u
#define KETTE_SET_SEED 256u
typedef struct kette_sampling {
  uint32_t struct_size, set;
  float temperature;        /* 0: greedy */
  float top_p, min_p;       /* 1 and 0: off */
  float repetition_penalty; /* 1: off */
  float presence_penalty, frequency_penalty; /* 0: off */
  int32_t top_k;            /* 0: off */
  int32_t penalty_window;   /* how many last tokens count as seen; -1: all */
  uint64_t seed;            /* without its bit: 0 */
  const kette_token* bias_ids; /* [n_bias] */
  const float* bias;           /* [n_bias], added to the logits */
  size_t n_bias;
} kette_sampling;

#define KETTE_GENERATE_RAW_BYTES 1u   /* text events may end inside a UTF-8 character */
#define KETTE_GENERATE_IGNORE_EOS 2u  /* end-of-turn tokens neither stop nor show */
#define KETTE_GENERATE_SHOW_SPECIAL 4u /* control tokens appear in the text */
#define KETTE_GENERATE_LOGPROBS 8u     /* events have logprob, and top with top_logprobs */
#define KETTE_GENERATE_PROMPT_ONLY 16u /* evaluate the prompt and end (KETTE_FINISH_LENGTH) before a token is chosen: what
                                          forks and later answers then find evaluated */
#define KETTE_GENERATE_CONSTRAIN_REASONING 32u /* the grammar holds from the answer's first token, not after thinking; then
                                                  nothing closes a thought but the model */
#define KETTE_GENERATE_ALLOW_LOOPS 64u /* thinking that runs in circles is not closed */
#define KETTE_GENERATE_DROP_OLDEST 128u /* begin_chat: while the prompt with room for max_tokens (0: a quarter of the
                                          context) does not fit, leave out the oldest turn: the first message that is
                                          not of the system, and what follows it up to the next of the user. The last
                                          message of the user stays, and what comes after it */
#define KETTE_REASONING_DEFAULT 0 /* as the model's template has it */
#define KETTE_REASONING_ON 1
#define KETTE_REASONING_OFF (-1)  /* not one token of thinking */
#define KETTE_TOOLS_AUTO 0     /* the model calls a tool or not */
#define KETTE_TOOLS_NONE 1     /* what looks like a call is text */
#define KETTE_TOOLS_REQUIRED 2 /* after its thinking the model calls a tool, with arguments as the tool's schema says */
/* Who guesses tokens ahead. Several guesses are checked in one pass over the weights, and where that takes longer than it
 * saves guessing rests: a guess changes no token. But with MTP one token more of what is held is evaluated again with the
 * rest of a prompt, and a fast model (neither DETERMINISTIC nor EXACT) may round that otherwise. */
#define KETTE_SPECULATION_AUTO 0          /* MTP where the model has it and nothing held need be evaluated again, else off */
#define KETTE_SPECULATION_OFF 1
#define KETTE_SPECULATION_PROMPT_LOOKUP 2 /* what followed earlier in the conversation; for answers that quote it */
#define KETTE_SPECULATION_MTP 3           /* the model's multi-token prediction module; KETTE_E_UNSUPPORTED without one */
typedef struct kette_gen_params {
  uint32_t struct_size, flags;
  uint32_t max_tokens; /* 0: until the context is full */
  uint32_t n_stop;
  const kette_sampling* sampling; /* NULL: the model's defaults */
  const char* const* stop;        /* [n_stop] NUL-terminated; the answer ends before the first that appears */
  const kette_token* stop_tokens; /* [n_stop_tokens] besides the model's own */
  size_t n_stop_tokens;
  kette_cancel* cancel;           /* checked at every safe point; the session keeps whole tokens */
  int32_t speculation;            /* KETTE_SPECULATION_* */
  uint32_t max_draft;             /* guesses at a time, at most 7; 0: the default */
  /* Of begin_chat alone, with a model whose template has thinking (kette_model_info says which); KETTE_E_UNSUPPORTED
   * where ON, or a number, is asked of one that has not. */
  int32_t reasoning;              /* KETTE_REASONING_* */
  uint32_t reasoning_max_tokens;  /* then thinking is closed, softly: with reasoning_close; 0: no limit */
  uint32_t reasoning_min_tokens;  /* the model thinks, and until then neither thinking nor the answer ends */
  int32_t tool_choice;            /* KETTE_TOOLS_*, where the chat has tools */
  const char* reasoning_close;    /* a sentence that goes before the closing tag; NULL: the default, "" : none */
  const char* tool_name;          /* with KETTE_TOOLS_REQUIRED: this one; NULL: any */
  const kette_grammar* grammar;   /* what the text must match: see section 9. Kept for the answer */
  uint32_t top_logprobs;          /* likeliest tokens listed with each, at most 20 */
  uint32_t reserved;
} kette_gen_params;

/* Each token that is chosen, or put in to close a thought, makes at least one event; that which ends the answer makes DONE. The kinds of text come apart only
 * in answers to chats, and tool calls only where the chat has tools; else all is TEXT. Of each kind the texts joined are
 * the whole, however tokens cut it; tags and the line breaks around them are in none. */
#define KETTE_EVENT_NONE 0
#define KETTE_EVENT_TEXT 1           /* text may be empty while a character, a tag or a stop string is open */
#define KETTE_EVENT_REASONING 2      /* the same of what the model thinks */
#define KETTE_EVENT_TOOL_CALL 3      /* a call begins: text is the tool's name */
#define KETTE_EVENT_DONE 4
#define KETTE_EVENT_TOOL_ARGUMENTS 5 /* the call's arguments, JSON, as they come; none where the model wrote none */
#define KETTE_EVENT_TOOL_END 6       /* the call is over; is_malformed: its arguments are not JSON */
#define KETTE_EVENT_FAILED 7         /* in a scheduler, the last: the answer broke off; status says why, text in words */
/* Who ended the thinking. */
#define KETTE_REASONING_END_NONE 0   /* there was none, or it goes on */
#define KETTE_REASONING_END_MODEL 1
#define KETTE_REASONING_END_BUDGET 2 /* reasoning_max_tokens */
#define KETTE_REASONING_END_LOOP 3   /* it ran in circles */
#define KETTE_REASONING_END_CUT 4    /* the answer ended in it */
#define KETTE_FINISH_STOP 1         /* the model ended its turn */
#define KETTE_FINISH_STOP_STRING 2
#define KETTE_FINISH_LENGTH 3       /* max_tokens */
#define KETTE_FINISH_CONTEXT_FULL 4
#define KETTE_FINISH_CANCELLED 5
typedef struct kette_logprob {
  kette_token token;
  float logprob; /* natural logarithm of the probability by the model's logits alone, before sampling and grammar */
} kette_logprob;
typedef struct kette_event {
  uint32_t struct_size, type;
  const char* text; /* whole UTF-8 unless RAW_BYTES; valid until the next call on the session */
  size_t text_len;
  kette_token token; /* -1 where the event belongs to none, or to the one of the event before */
  int32_t finish_reason;
  uint32_t index; /* tokens generated so far */
  int32_t reasoning_end; /* with DONE: KETTE_REASONING_END_* */
  /* With KETTE_GENERATE_LOGPROBS, where the token was chosen by its logits: */
  const kette_logprob* top; /* [n_top], the likeliest first; valid as text is */
  uint32_t n_top;
  float logprob;        /* of token; 0 where there is none */
  uint32_t tool_index;  /* of the TOOL_* kinds: which call of the answer, from 0 */
  int32_t is_malformed; /* with TOOL_END */
  kette_session* session; /* whose answer it is of */
  void* user;             /* and its kette_session_params::user */
  kette_status status;    /* with FAILED: KETTE_E_*; else KETTE_OK */
  uint32_t reserved;
} kette_event;

#define KETTE_KV_DEFAULT 0
#define KETTE_KV_F32 1
#define KETTE_KV_F16 2
#define KETTE_KV_BF16 3
#define KETTE_KV_Q8_0 4 /* 32 numbers in 34 bytes: half the memory and reading of f16, for a little accuracy */
typedef struct kette_session_params {
  uint32_t struct_size, flags;
  uint32_t max_context; /* tokens the KV cache holds; 0: the model's context length, at most 4096 */
  int32_t kv_type;      /* KETTE_KV_*; default: f16, in exact mode f32 */
  void* user;           /* comes with the session's events; of a fork NULL */
} kette_session_params;

typedef struct kette_metrics {
  uint32_t struct_size, reserved;
  uint64_t prompt_tokens, cached_tokens, gen_tokens; /* of the generation under way or last ended */
  uint64_t ttft_us, prefill_us, decode_us;           /* from begin to the first token; in forwards */
  uint64_t kv_bytes, weight_bytes, scratch_bytes; /* kv_bytes: of the pages held, also those that others hold too */
  /* Of that generation's kette_session_step calls with a budget: how many, the longest overrun of the budget, and the
   * longest stretch of work between two safe points. */
  uint64_t steps, step_overrun_max_us, quantum_max_us;
  uint64_t drafted_tokens, accepted_tokens; /* guesses made, and those that were right */
  uint64_t reasoning_tokens;                /* of gen_tokens, with what was put in to close the thought */
  int32_t reasoning_end;                    /* KETTE_REASONING_END_* */
  uint32_t dropped_messages;                /* by KETTE_GENERATE_DROP_OLDEST */
} kette_metrics;

typedef int32_t (*kette_on_event)(void* user, const kette_event* event); /* not 0 stops the answer [CB-C] */

/* KETTE_E_BUDGET: with the model's weights it would take more than the model's memory_budget. */
KETTE_API kette_status kette_session_new(kette_model* model, const kette_session_params* params, kette_session** out,
                                         kette_error** err);
/* A second session that continues from what this one holds; its generation, if any, is not taken along. Costs next to
 * nothing: both share what they hold, and who goes on first copies a stretch of 64 tokens at most. In the midst of an
 * answer's step the stretches being written are copied at once. */
KETTE_API kette_status kette_session_fork(const kette_session* session, kette_session** out, kette_error** err);
KETTE_API void kette_session_free(kette_session* session);
/* Start an answer. The prompt is the whole conversation: the longest prefix that the session already holds, or that is
 * known from other sessions of the model (whole stretches of 64 tokens), is not evaluated again. In fast mode its values
 * may differ in rounding from those evaluated anew, in the others not. Work happens in step or run. KETTE_E_CONTEXT_FULL: the prompt does not fit. KETTE_E_MISUSE: an answer
 * is under way. A chat is of the session's own model. params and what it points to are copied. */
KETTE_API kette_status kette_session_begin_chat(kette_session* session, const kette_chat* chat,
                                                const kette_gen_params* params, kette_error** err);
KETTE_API kette_status kette_session_begin_tokens(kette_session* session, const kette_token* tokens, size_t n,
                                                  const kette_gen_params* params, kette_error** err);
/* Work for about budget_us (0: until there is an event), then return: KETTE_MORE, or KETTE_DONE once the answer has
 * ended. Safe points lie inside a token, between the pieces that threads take (some weight rows of a matmul, one block
 * of an attention head), for budget and cancel alike; the call returns within the budget and one piece on every
 * thread. The pieces of a prompt are sized to quantum_us: nothing is guaranteed where other work holds the CPU.
 * Where a step stops has no effect on the tokens. A failure ends the answer, except KETTE_E_OUT_OF_MEMORY from the
 * host's allocator: the step may then be called again. */
KETTE_API kette_status kette_session_step(kette_session* session, uint32_t budget_us, kette_error** err);
/* The next event: KETTE_OK and *event, KETTE_MORE if there is none yet, KETTE_DONE after the last. */
KETTE_API kette_status kette_session_poll(kette_session* session, kette_event* event, kette_error** err);
/* step and poll until the end, each event to on_event. Returns KETTE_OK. */
KETTE_API kette_status kette_session_run(kette_session* session, kette_on_event on_event, void* user, kette_error** err);
/* The answer under way, or that ended last, as a message for kette_chat_add_json: role, content, reasoning_content where
 * it thought, tool_calls where it called tools, as the model's template wants them. The next prompt is then that of the
 * conversation: what the template leaves out of earlier turns, thoughts mostly, is evaluated no more, and of what stays
 * only the answer is evaluated anew. */
KETTE_API kette_status kette_session_answer(const kette_session* session, kette_buf** json, kette_error** err);
/* Append tokens to what the session holds and write the logits of the last `rows` of them, [rows][vocab_size]:
 * for own samplers, scoring and tests. rows may be 0. */
KETTE_API kette_status kette_session_eval(kette_session* session, const kette_token* tokens, size_t n, float* logits,
                                          size_t rows, kette_error** err);
/* Keep only the first n_tokens of what the session holds. */
KETTE_API kette_status kette_session_rewind(kette_session* session, uint32_t n_tokens, kette_error** err);
/* What the session holds, tokens and KV cache, as bytes or as a file that appears whole or not at all (others see it once
 * it is on the disk; one of that name is replaced). KETTE_E_MISUSE: an answer is under way. The size is that of the
 * tokens held times the model's kv_bytes_per_token and a little more; whoever reads it can read the conversation. */
KETTE_API kette_status kette_session_save(const kette_session* session, kette_buf** out, kette_error** err);
KETTE_API kette_status kette_session_save_file(const kette_session* session, const char* utf8_path, kette_error** err);
/* Hold what was saved instead of what the session holds, and go on as if it had never stopped: the same bits. Everything
 * is checked first, and a failure changes nothing: KETTE_E_INVALID_ARGUMENT, saved from another model (other weights,
 * weight_type or settings), another kv_type or with another adapter; KETTE_E_CONTEXT_FULL, more tokens than this session
 * can hold; KETTE_E_CORRUPT, damaged or cut; KETTE_E_FORMAT, something else; KETTE_E_UNSUPPORTED, of another version of
 * the format; KETTE_E_MISUSE, an answer is under way. Of another mode is fine, and told to the logger: the values differ
 * in rounding. Checksums find damage, not malice: bytes from others may make the model say anything, and no more. */
KETTE_API kette_status kette_session_load(kette_session* session, const void* data, size_t n, kette_error** err);
KETTE_API kette_status kette_session_load_file(kette_session* session, const char* utf8_path, kette_error** err);
/* Tokens the session holds, and can hold. [T2] */
KETTE_API uint32_t kette_session_length(const kette_session* session);
KETTE_API uint32_t kette_session_capacity(const kette_session* session);
KETTE_API kette_status kette_session_metrics(const kette_session* session, kette_metrics* out, kette_error** err);

/* ---- 11 many sessions [T2] ---- */
/* A scheduler advances the answers of many sessions of one model together: each weight is read once for the next tokens
 * of all of them. A host that steps one session in a loop steps the scheduler instead; answers begin as ever, before or
 * after the session is added, and new ones at any time.
 *   kette_scheduler_new(model, 16, &scheduler, NULL);
 *   kette_scheduler_add(scheduler, session, NULL), kette_session_begin_chat(session, chat, NULL, NULL); ... of each
 *   while (kette_scheduler_step(scheduler, 1500, NULL) >= 0 && not_done)
 *     while (kette_scheduler_poll(scheduler, &event, NULL) == KETTE_OK) show(event.user, &event);
 * Ownership: sessions stay the caller's. Freeing one takes it out, freeing the scheduler leaves them all as they are, each
 * to be stepped alone again; the scheduler keeps its model alive. A session is in one scheduler at most, a fork in none.
 * Threads: a scheduler and the sessions in it count as one object, used by one thread at a time; KETTE_E_BUSY where that
 * is seen to be broken. No thread of its own: all work happens in step.
 * What an answer becomes is what it would become alone: grammar, thinking, tools, log probabilities, adapters (only
 * sessions with the same adapters share a pass), limits. In deterministic and exact modes its tokens are the same too. In
 * fast mode they are where a row's bits do not depend on the rows beside it: in passes of up to 8 sessions, and with AVX2
 * kernels in the formats q4_0, q4_1, q8_0, q4_k and q6_k of any number; but latent attention may round a prompt's
 * stretches otherwise than whole prompts, as it does between budgets. Guessing ahead rests: an answer whose passes are
 * shared makes no guesses any more. A session that alone has an answer under way goes on as with kette_session_step. */
/* max_batch, 1 to 64: so many sessions go into one pass at most; more may be added and take turns. Its scratch comes on
 * top of the sessions'. KETTE_E_BUDGET: with the weights that would take more than the model's memory_budget. */
KETTE_API kette_status kette_scheduler_new(kette_model* model, uint32_t max_batch, kette_scheduler** out,
                                           kette_error** err);
/* KETTE_E_MISUSE: it is in a scheduler. KETTE_E_INVALID_ARGUMENT: it is of another model. From here on kette_session_step
 * and _run are KETTE_E_MISUSE while the session has an answer under way; all other functions work as ever. */
KETTE_API kette_status kette_scheduler_add(kette_scheduler* scheduler, kette_session* session, kette_error** err);
/* At any time; an answer under way can then be stepped alone. Where the session has a part in a step that its budget
 * interrupted, what that step has done so far is done again for the others. */
KETTE_API kette_status kette_scheduler_remove(kette_scheduler* scheduler, kette_session* session, kette_error** err);
/* Work for about budget_us (0: until a session has an event), then return: KETTE_MORE, or KETTE_DONE if no answer is under
 * way. Safe points are those of kette_session_step. Long prompts are evaluated 64 tokens at a time, in turns with the
 * other sessions' next tokens. A cancel flag ends its answer at the next safe point where it alone is evaluated, or all
 * that share the pass have that flag, else when the pass is over. What fails in one session (KETTE_EVENT_FAILED: no
 * memory for its KV cache, a grammar's dead end, logits that are not numbers) ends that answer alone.
 * KETTE_E_OUT_OF_MEMORY: none for the scheduler's own scratch, or for an answer that is the only one under way; none has
 * ended, the step may be called again. */
KETTE_API kette_status kette_scheduler_step(kette_scheduler* scheduler, uint32_t budget_us, kette_error** err);
/* The next event of any of its sessions, in turns: KETTE_OK, with event.session and event.user; KETTE_MORE if there is none
 * yet, KETTE_DONE if none will come. text and top are valid until the next call on that session or the scheduler.
 * kette_session_poll takes a session's own events, as ever. */
KETTE_API kette_status kette_scheduler_poll(kette_scheduler* scheduler, kette_event* event, kette_error** err);
KETTE_API void kette_scheduler_free(kette_scheduler* scheduler);

/* ---- 12 adapters and embeddings ---- */
/* Open a LoRA adapter for a model: a PEFT directory (adapter_config.json and adapter_model.safetensors), that weight file
 * itself, or a GGUF adapter. Of `params` vfs, cancel and the flag KETTE_MODEL_READ count; the other fields are a model's
 * and not looked at. Any matrix that the model multiplies whole may have one, each expert too; what does not fit the
 * model is refused with tensor, expected and found. KETTE_E_UNSUPPORTED, by name: what an adapter has beside low-rank
 * pairs (biases, DoRA, whole modules), and pairs for an embedding, a head tied to it, DeepSeek's kv_b_proj or its
 * prediction module. The numbers are copied, as floats, on top of memory_budget. Keeps the model alive. [T1 on model] */
KETTE_API kette_status kette_adapter_open(kette_model* model, const char* utf8_path, const kette_model_params* params,
                                          kette_adapter** out, kette_error** err);
KETTE_API void kette_adapter_ref(kette_adapter* adapter);
KETTE_API void kette_adapter_unref(kette_adapter* adapter);
/* Attach an adapter to a session: its matrices become W + scale * alpha / rank * B A. Several may be attached. Once more
 * with another scale changes it, with 0 takes it away; scale is at most 1e6 either way. Where that changes anything the
 * session drops all it holds (length 0), for it was made with other weights: the next prompt is evaluated anew. After
 * all are taken away logits are, bit for bit, those of a session that never had one. Other sessions of the model are as
 * they were; a fork has its session's adapters. The prediction module guesses without them, which changes no token. The
 * session keeps a reference. KETTE_E_MISUSE: an answer is under way. KETTE_E_INVALID_ARGUMENT: also an adapter that was
 * opened for another model. [T2] */
KETTE_API kette_status kette_session_set_adapter(kette_session* session, kette_adapter* adapter, float scale,
                                                 kette_error** err);
KETTE_API kette_status kette_session_clear_adapters(kette_session* session, kette_error** err);
#define KETTE_POOL_MEAN 0u          /* of all tokens */
#define KETTE_POOL_LAST 1u          /* the last token's */
#define KETTE_POOL_CLS 2u           /* the first token's */
#define KETTE_EMBED_NORMALIZE 256u  /* to a length of 1 */
/* Embeddings: the hidden states after the model's last norm, pooled over each text's tokens, [n][hidden_size] floats to
 * `out`, which holds `cap` of them. `pooling`: a KETTE_POOL_*, with KETTE_EMBED_NORMALIZE if wanted. *needed is set to n *
 * hidden_size first; more than `cap` is KETTE_E_INVALID_ARGUMENT, cap = 0 with out = NULL asks for the size and is OK.
 * Each text of texts[i], lens[i] bytes, gets the special tokens that the model's tokenizer adds; spellings of special
 * tokens stay text. KETTE_E_CONTEXT_FULL says which text is longer than the model's context. cancel may be NULL. [T1] */
KETTE_API kette_status kette_embed(const kette_model* model, const char* const* texts, const size_t* lens, size_t n,
                                   uint32_t pooling, kette_cancel* cancel, float* out, size_t cap, size_t* needed,
                                   kette_error** err);

/* ---- 13 buffers [T1] ---- */
KETTE_API const void* kette_buf_data(const kette_buf* buf);
KETTE_API size_t kette_buf_size(const kette_buf* buf);
KETTE_API void kette_buf_free(kette_buf* buf);

#ifdef __cplusplus
}
#endif
#endif
