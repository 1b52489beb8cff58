#include "handles.h"

using kette::Code;
using kette::Result;

namespace kette::capi {
namespace {

Result<Sampling> read_sampling(const kette_sampling* given, const LoadedModel& model) {
  KETTE_ASSIGN(const kette_sampling s, read_struct(given, "kette_sampling"));
  KETTE_TRY(require_flags(s.set, 2 * KETTE_SET_SEED - 1, "kette_sampling.set"));
  Sampling out = model.sampling();
  const auto set = [&](uint32_t bit, auto& field, auto value) {
    if ((s.set & bit) != 0) field = value;
  };
  set(KETTE_SET_TEMPERATURE, out.temperature, s.temperature);
  set(KETTE_SET_TOP_P, out.top_p, s.top_p);
  set(KETTE_SET_MIN_P, out.min_p, s.min_p);
  set(KETTE_SET_REPETITION_PENALTY, out.repetition_penalty, s.repetition_penalty);
  set(KETTE_SET_PRESENCE_PENALTY, out.presence_penalty, s.presence_penalty);
  set(KETTE_SET_FREQUENCY_PENALTY, out.frequency_penalty, s.frequency_penalty);
  set(KETTE_SET_TOP_K, out.top_k, s.top_k);
  set(KETTE_SET_PENALTY_WINDOW, out.penalty_window, s.penalty_window);
  set(KETTE_SET_SEED, out.seed, s.seed);
  if (s.n_bias > 0) {
    KETTE_TRY(require(s.bias_ids, "kette_sampling.bias_ids"));
    KETTE_TRY(require(s.bias, "kette_sampling.bias"));
    for (size_t i = 0; i < s.n_bias; ++i) out.logit_bias.emplace_back(s.bias_ids[i], s.bias[i]);
  }
  return out;
}

Result<GenerateOptions> read_generate(const kette_gen_params* given, const Session& session) {
  KETTE_ASSIGN(const kette_gen_params p, read_struct(given, "kette_gen_params"));
  KETTE_TRY(require_flags(p.flags, 2 * KETTE_GENERATE_DROP_OLDEST - 1, "kette_gen_params.flags"));
  if (p.reserved != 0) return error(Code::kInvalidArgument, "kette_gen_params.reserved: {}, expected 0", p.reserved);
  const auto has = [&](uint32_t flag) { return (p.flags & flag) != 0; };
  GenerateOptions out;
  out.max_tokens = p.max_tokens;
  out.raw_bytes = has(KETTE_GENERATE_RAW_BYTES);
  out.ignore_eos = has(KETTE_GENERATE_IGNORE_EOS);
  out.show_special = has(KETTE_GENERATE_SHOW_SPECIAL);
  out.prompt_only = has(KETTE_GENERATE_PROMPT_ONLY);
  out.drop_oldest = has(KETTE_GENERATE_DROP_OLDEST);
  out.close_loops = !has(KETTE_GENERATE_ALLOW_LOOPS);
  out.constrain_thought = has(KETTE_GENERATE_CONSTRAIN_REASONING);
  out.logprobs = has(KETTE_GENERATE_LOGPROBS);
  out.top_logprobs = p.top_logprobs;
  if (p.top_logprobs > 0 && !out.logprobs)
    return error(Code::kInvalidArgument, "top_logprobs: {} without KETTE_GENERATE_LOGPROBS", p.top_logprobs);
  KETTE_ASSIGN(out.sampling, read_sampling(p.sampling, session.loaded()));
  if (p.n_stop > 0) KETTE_TRY(require(p.stop, "kette_gen_params.stop"));
  for (uint32_t i = 0; i < p.n_stop; ++i) {
    KETTE_TRY(require(p.stop[i], "kette_gen_params.stop[i]"));
    out.stop.emplace_back(p.stop[i]);
  }
  if (p.n_stop_tokens > 0) {
    KETTE_TRY(require(p.stop_tokens, "kette_gen_params.stop_tokens"));
    out.stop_tokens.assign(p.stop_tokens, p.stop_tokens + p.n_stop_tokens);
  }
  if (p.cancel != nullptr) out.cancel = p.cancel->flag;
  switch (p.speculation) {
    case KETTE_SPECULATION_AUTO: out.speculation = Speculation::kAuto; break;
    case KETTE_SPECULATION_OFF: out.speculation = Speculation::kOff; break;
    case KETTE_SPECULATION_PROMPT_LOOKUP: out.speculation = Speculation::kLookUp; break;
    case KETTE_SPECULATION_MTP: out.speculation = Speculation::kLookAhead; break;
    default: return error(Code::kInvalidArgument, "speculation: {}, expected KETTE_SPECULATION_*", p.speculation);
  }
  out.max_draft = p.max_draft;
  switch (p.reasoning) {
    case KETTE_REASONING_DEFAULT: out.thinking = ThinkingSetting::kDefault; break;
    case KETTE_REASONING_ON: out.thinking = ThinkingSetting::kOn; break;
    case KETTE_REASONING_OFF: out.thinking = ThinkingSetting::kOff; break;
    default: return error(Code::kInvalidArgument, "reasoning: {}, expected KETTE_REASONING_*", p.reasoning);
  }
  out.thinking_budget = p.reasoning_max_tokens;
  out.thinking_minimum = p.reasoning_min_tokens;
  if (p.reasoning_close != nullptr) out.thinking_close = p.reasoning_close;
  switch (p.tool_choice) {
    case KETTE_TOOLS_AUTO: out.tool_choice = ToolChoice::kAuto; break;
    case KETTE_TOOLS_NONE: out.tool_choice = ToolChoice::kNone; break;
    case KETTE_TOOLS_REQUIRED: out.tool_choice = ToolChoice::kRequired; break;
    default: return error(Code::kInvalidArgument, "tool_choice: {}, expected KETTE_TOOLS_*", p.tool_choice);
  }
  if (p.tool_name != nullptr) {
    if (out.tool_choice != ToolChoice::kRequired)
      return error(Code::kInvalidArgument, "tool_name is given, expected tool_choice KETTE_TOOLS_REQUIRED with it");
    out.tool_name = p.tool_name;
  }
  if (p.grammar != nullptr) {
    if (&p.grammar->grammar->loaded() != &session.loaded())
      return error(Code::kInvalidArgument, "the grammar was made for another model than the session");
    out.constraint = p.grammar->grammar->constraint();
  }
  return out;
}

// What only chats have.
Status check_plain(const GenerateOptions& options) {
  if (options.thinking != ThinkingSetting::kDefault)
    return error(Code::kInvalidArgument, "reasoning: for chats alone, the prompt is tokens");
  if (options.tool_choice != ToolChoice::kAuto)
    return error(Code::kInvalidArgument, "tool_choice: for chats alone, the prompt is tokens");
  if (options.drop_oldest)
    return error(Code::kInvalidArgument, "KETTE_GENERATE_DROP_OLDEST: for chats alone, the prompt is tokens");
  return {};
}

bool calls_stop(kette_on_event on_event, void* user, const kette_event& event) {
  const InCallback callback;
  return on_event != nullptr && on_event(user, &event) != 0;
}

kette_session* make_session(std::unique_ptr<Session> session, void* user) {
  auto handle = std::make_unique<kette_session>();
  handle->session = std::move(session);
  handle->user = user;
  return handle.release();
}

}  // namespace

kette_status next_event(kette_session* handle, kette_event& out) {
  auto event = handle->session->poll();
  if (!event) return handle->session->generating() ? KETTE_MORE : KETTE_DONE;
  handle->event = std::move(*event);
  const Event& e = handle->event;
  out = {};
  out.struct_size = sizeof out;
  out.type = static_cast<uint32_t>(e.kind);
  out.text = e.text.c_str();
  out.text_len = e.text.size();
  out.token = e.token;
  out.finish_reason = static_cast<int32_t>(e.finish);
  out.index = e.index;
  out.reasoning_end = static_cast<int32_t>(e.thought_end);
  handle->top.clear();
  for (const Logprob& l : e.top) handle->top.push_back({l.token, l.logprob});
  out.top = handle->top.data();
  out.n_top = static_cast<uint32_t>(handle->top.size());
  out.logprob = e.logprob;
  out.tool_index = e.tool_index;
  out.is_malformed = e.malformed ? 1 : 0;
  out.session = handle;
  out.user = handle->user;
  out.status = static_cast<kette_status>(e.failure);
  return KETTE_OK;
}

}  // namespace kette::capi

kette_session::~kette_session() {
  if (scheduler != nullptr) std::erase(scheduler->sessions, this);
}

extern "C" {

kette_status kette_session_new(kette_model* model, const kette_session_params* params, kette_session** out,
                               kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(model, "model"));
    KETTE_TRY(require(out, "out"));
    KETTE_ASSIGN(const kette_session_params p, read_struct(params, "kette_session_params"));
    KETTE_TRY(require_flags(p.flags, 0, "kette_session_params.flags"));
    using kette::nn::KvType;
    static_assert(
        KETTE_KV_F32 - 1 == static_cast<int>(KvType::kF32) && KETTE_KV_F16 - 1 == static_cast<int>(KvType::kF16) &&
        KETTE_KV_BF16 - 1 == static_cast<int>(KvType::kBf16) && KETTE_KV_Q8_0 - 1 == static_cast<int>(KvType::kQ8_0));
    const auto type = kette::nn::kv_type_of(int64_t{p.kv_type} - 1);
    if (!type && p.kv_type != KETTE_KV_DEFAULT)
      return kette::error(Code::kInvalidArgument, "kv_type: {}, expected KETTE_KV_*", p.kv_type);
    KETTE_ASSIGN(auto session, kette::Session::make(model->loaded, p.max_context, type));
    *out = make_session(std::move(session), p.user);
    return KETTE_OK;
  });
}

kette_status kette_session_fork(const kette_session* session, kette_session** out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    KETTE_TRY(require(out, "out"));
    KETTE_ASSIGN(auto copy, session->session->fork());
    *out = make_session(std::move(copy), nullptr);
    return KETTE_OK;
  });
}

void kette_session_free(kette_session* session) { delete session; }

kette_status kette_session_begin_chat(kette_session* session, const kette_chat* chat, const kette_gen_params* params,
                                      kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(require_live(chat, "chat"));
    if (&chat->prompt->loaded() != &s.loaded())
      return kette::error(Code::kInvalidArgument, "the chat was made from another model than the session");
    KETTE_ASSIGN(auto options, read_generate(params, s));
    KETTE_ASSIGN(auto prepared, chat->prompt->prepare(options, s.capacity()));
    KETTE_TRY(s.begin_chat(std::move(prepared), std::move(options)));
    return KETTE_OK;
  });
}

kette_status kette_session_begin_tokens(kette_session* session, const kette_token* tokens, size_t n,
                                        const kette_gen_params* params, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(require_text(tokens, n, "tokens"));
    KETTE_ASSIGN(auto options, read_generate(params, s));
    KETTE_TRY(check_plain(options));
    KETTE_TRY(s.begin(std::vector<kette_token>(tokens, tokens + n), std::move(options)));
    return KETTE_OK;
  });
}

kette_status kette_session_step(kette_session* session, uint32_t budget_us, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_ASSIGN(const bool done, s.step(budget_us));
    return done ? KETTE_DONE : KETTE_MORE;
  });
}

kette_status kette_session_poll(kette_session* session, kette_event* event, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session&) -> Result<kette_status> {
    KETTE_TRY(require(event, "event"));
    KETTE_TRY(require_size(event->struct_size, sizeof(kette_event), "kette_event"));
    kette_event own{};
    const kette_status status = next_event(session, own);
    KETTE_TRY(write_struct(own, event, "kette_event"));
    return status;
  });
}

kette_status kette_session_run(kette_session* session, kette_on_event on_event, void* user, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    if (s.generating() && s.scheduler() != nullptr) return s.step(0).status();  // refused, before an event is taken
    for (;;) {
      kette_event event{};
      const kette_status status = next_event(session, event);
      if (status == KETTE_DONE) return KETTE_OK;
      if (status == KETTE_MORE) {
        KETTE_ASSIGN([[maybe_unused]] const bool done, s.step(0));
      } else if (calls_stop(on_event, user, event)) {
        s.stop();
        return KETTE_OK;
      }
    }
  });
}

kette_status kette_session_answer(const kette_session* session, kette_buf** json, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    KETTE_TRY(require(json, "json"));
    const kette::Session& s = *session->session;
    *json = make_buf(kette::message_json(s.message(), s.loaded().dialect()));
    return KETTE_OK;
  });
}

kette_status kette_session_eval(kette_session* session, const kette_token* tokens, size_t n, float* logits, size_t rows,
                                kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(require_text(tokens, n, "tokens"));
    KETTE_TRY(require_text(logits, rows, "logits"));
    KETTE_TRY(s.eval({tokens, n}, logits, rows));
    return KETTE_OK;
  });
}

kette_status kette_session_rewind(kette_session* session, uint32_t n_tokens, kette_error** err) {
  using namespace kette::capi;
  return guard_session(session, err, [&](kette::Session& s) -> Result<kette_status> {
    KETTE_TRY(s.rewind(n_tokens));
    return KETTE_OK;
  });
}

uint32_t kette_session_length(const kette_session* session) {
  return session != nullptr ? static_cast<uint32_t>(session->session->length()) : 0;
}
uint32_t kette_session_capacity(const kette_session* session) {
  return session != nullptr ? static_cast<uint32_t>(session->session->capacity()) : 0;
}

kette_status kette_session_metrics(const kette_session* session, kette_metrics* out, kette_error** err) {
  using namespace kette::capi;
  return guard(err, [&]() -> Result<kette_status> {
    KETTE_TRY(require_live(session, "session"));
    const kette::Session& s = *session->session;
    const kette::Metrics& m = s.metrics();
    kette_metrics own{};
    own.prompt_tokens = m.prompt_tokens;
    own.cached_tokens = m.cached_tokens;
    own.gen_tokens = m.gen_tokens;
    own.ttft_us = m.ttft_us;
    own.prefill_us = m.prefill_us;
    own.decode_us = m.decode_us;
    own.kv_bytes = s.kv_bytes();
    own.weight_bytes = s.loaded().weight_bytes();
    own.scratch_bytes = s.scratch_bytes();
    own.steps = m.steps;
    own.step_overrun_max_us = m.step_overrun_max_us;
    own.quantum_max_us = m.quantum_max_us;
    own.drafted_tokens = m.drafted_tokens;
    own.accepted_tokens = m.accepted_tokens;
    own.reasoning_tokens = m.reasoning_tokens;
    own.reasoning_end = static_cast<int32_t>(m.thought_end);
    own.dropped_messages = m.dropped_messages;
    KETTE_TRY(write_struct(own, out, "kette_metrics"));
    return KETTE_OK;
  });
}

}  // extern "C"
