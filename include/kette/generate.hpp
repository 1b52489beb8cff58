/// How an answer is generated, and the events it comes in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kette/grammar.hpp"
#include "kette/span.hpp"

KETTE_BEGIN_NAMESPACE

/// Who guesses tokens ahead; a guess changes no token. With mtp one token more of what is held is evaluated again with the
/// rest of a prompt, which a fast model may round otherwise.
enum class speculation : std::int32_t {
  automatic =
      KETTE_SPECULATION_AUTO,  ///< mtp where the model has it and nothing held need be evaluated again, else off
  off = KETTE_SPECULATION_OFF,
  prompt_lookup = KETTE_SPECULATION_PROMPT_LOOKUP,  ///< what followed earlier in the conversation
  mtp = KETTE_SPECULATION_MTP,  ///< the model's multi-token prediction module; unsupported without one
};

/// Whether the model thinks before it answers; for chats, with a model whose template has thinking.
enum class reasoning : std::int32_t {
  by_default = KETTE_REASONING_DEFAULT,  ///< as the template has it
  on = KETTE_REASONING_ON,
  off = KETTE_REASONING_OFF,  ///< not one token of thinking
};

/// Whether the model calls the chat's tools.
enum class tool_choice : std::int32_t {
  automatic = KETTE_TOOLS_AUTO,
  none = KETTE_TOOLS_NONE,          ///< what looks like a call is text
  required = KETTE_TOOLS_REQUIRED,  ///< after its thinking it calls one, with arguments as the tool's schema says
};

/// Options of one answer. A sampling field that is not set has the model's own default: that of the file where it has
/// one, else temperature 1 and everything else off.
struct generate_options {
  std::uint32_t max_tokens = 0;                              ///< 0: until the context is full
  std::uint32_t flags = 0;                                   ///< KETTE_GENERATE_*
  std::optional<float> temperature;                          ///< 0: greedy
  std::optional<float> top_p, min_p;                         ///< 1 and 0: off
  std::optional<std::int32_t> top_k;                         ///< 0: off
  std::optional<float> repetition_penalty;                   ///< 1: off
  std::optional<float> presence_penalty, frequency_penalty;  ///< 0: off
  std::optional<std::int32_t> penalty_window;                ///< how many last tokens count as seen; -1: all
  std::optional<std::uint64_t> seed;                         ///< the same seed, the same answer; without it 0
  std::vector<std::pair<token, float>> bias;                 ///< added to the logits
  std::vector<std::string> stop;   ///< the answer ends before the first of these that appears; none is empty
  std::vector<token> stop_tokens;  ///< besides the model's own
  kette::speculation speculation = kette::speculation::automatic;
  std::uint32_t max_draft = 0;  ///< guesses at a time, at most 7; 0: the default
  kette::reasoning reasoning = kette::reasoning::by_default;
  std::uint32_t reasoning_max_tokens = 0;      ///< then thinking is closed, softly; 0: no limit
  std::uint32_t reasoning_min_tokens = 0;      ///< until then neither thinking nor the answer ends
  std::optional<std::string> reasoning_close;  ///< the sentence before the closing tag of a thought that is cut
  kette::tool_choice tool_choice = kette::tool_choice::automatic;
  std::string tool_name;                  ///< with tool_choice::required: this one; empty: any
  std::optional<kette::grammar> grammar;  ///< what the text must match, after thinking
  bool logprobs = false;                  ///< events have logprob()
  std::uint32_t top_logprobs = 0;         ///< and the likeliest tokens beside it, at most 20
  const kette::cancel* cancel = nullptr;  ///< not owned; must live until the answer has begun. It goes on as an event
                                          ///< with finish_reason::cancelled, and the session keeps whole tokens
};

/// Why an answer ended. Newer libraries may give numbers that are not listed.
enum class finish_reason : std::int32_t {
  none = 0,                  ///< it goes on
  stop = KETTE_FINISH_STOP,  ///< the model ended its turn
  stop_string = KETTE_FINISH_STOP_STRING,
  length = KETTE_FINISH_LENGTH,  ///< max_tokens
  context_full = KETTE_FINISH_CONTEXT_FULL,
  cancelled = KETTE_FINISH_CANCELLED,
};

/// Who ended the thinking. Newer libraries may give numbers that are not listed.
enum class reasoning_end : std::int32_t {
  none = KETTE_REASONING_END_NONE,  ///< there was none, or it goes on
  model = KETTE_REASONING_END_MODEL,
  budget = KETTE_REASONING_END_BUDGET,
  loop = KETTE_REASONING_END_LOOP,  ///< it ran in circles
  cut = KETTE_REASONING_END_CUT,    ///< the answer ended in it
};

/// A part of an answer. Its text is valid until the next one is fetched or the session is used otherwise.
class event {
 public:
  event() noexcept : raw_(detail::sized<kette_event>()) {}

  bool is_text() const noexcept { return raw_.type == KETTE_EVENT_TEXT; }
  bool is_reasoning() const noexcept { return raw_.type == KETTE_EVENT_REASONING; }
  /// A tool call begins; text() is the tool's name.
  bool is_tool_call() const noexcept { return raw_.type == KETTE_EVENT_TOOL_CALL; }
  /// A piece of its arguments, JSON.
  bool is_tool_arguments() const noexcept { return raw_.type == KETTE_EVENT_TOOL_ARGUMENTS; }
  bool is_tool_end() const noexcept { return raw_.type == KETTE_EVENT_TOOL_END; }
  /// The last event of an answer.
  bool is_done() const noexcept { return raw_.type == KETTE_EVENT_DONE; }
  /// In a scheduler, the last event: the answer broke off. text() says why, as session::status() does.
  bool is_failed() const noexcept { return raw_.type == KETTE_EVENT_FAILED; }
  /// The session it is of, to be compared with session::raw(), and its session_options::user.
  kette_session* session() const noexcept { return raw_.session; }
  void* user() const noexcept { return raw_.user; }
  /// Whole UTF-8 (unless KETTE_GENERATE_RAW_BYTES); empty while a character, a tag or a stop string is open.
  std::string_view text() const noexcept {
    return raw_.text != nullptr ? std::string_view(raw_.text, raw_.text_len) : std::string_view();
  }
  /// The token that was chosen; -1 if the event belongs to none, or to that of the event before.
  kette::token token() const noexcept { return raw_.token; }
  /// Tokens generated so far.
  std::uint32_t index() const noexcept { return raw_.index; }
  /// none, except in the last event.
  kette::finish_reason reason() const noexcept { return static_cast<kette::finish_reason>(raw_.finish_reason); }

  /// In the last event.
  kette::reasoning_end reasoning_end() const noexcept { return static_cast<kette::reasoning_end>(raw_.reasoning_end); }
  /// Which call of the answer a tool event belongs to, from 0.
  std::uint32_t tool_index() const noexcept { return raw_.tool_index; }
  /// With generate_options::logprobs: the natural logarithm of the token's probability, and the likeliest tokens.
  float logprob() const noexcept { return raw_.logprob; }
  span<const kette_logprob> top_logprobs() const noexcept { return {raw_.top, raw_.n_top}; }

  kette_event& raw() noexcept { return raw_; }
  const kette_event& raw() const noexcept { return raw_; }

 private:
  kette_event raw_;
};

namespace detail {

// generate_options as the C ABI's structs; refers to the options it was made from.
class gen_params {
 public:
  gen_params(const generate_options& o, kette_cancel* own_cancel) {
    const auto set = [&](std::uint32_t bit, auto& field, const auto& value) {
      if (!value) return;
      field = *value;
      sampling_.set |= bit;
    };
    set(KETTE_SET_TEMPERATURE, sampling_.temperature, o.temperature);
    set(KETTE_SET_TOP_P, sampling_.top_p, o.top_p);
    set(KETTE_SET_MIN_P, sampling_.min_p, o.min_p);
    set(KETTE_SET_TOP_K, sampling_.top_k, o.top_k);
    set(KETTE_SET_REPETITION_PENALTY, sampling_.repetition_penalty, o.repetition_penalty);
    set(KETTE_SET_PRESENCE_PENALTY, sampling_.presence_penalty, o.presence_penalty);
    set(KETTE_SET_FREQUENCY_PENALTY, sampling_.frequency_penalty, o.frequency_penalty);
    set(KETTE_SET_PENALTY_WINDOW, sampling_.penalty_window, o.penalty_window);
    set(KETTE_SET_SEED, sampling_.seed, o.seed);
    for (const auto& [id, value] : o.bias) {
      bias_ids_.push_back(id);
      bias_.push_back(value);
    }
    sampling_.bias_ids = bias_ids_.data();
    sampling_.bias = bias_.data();
    sampling_.n_bias = bias_.size();
    for (const std::string& s : o.stop) stop_.push_back(s.c_str());
    params_.flags = o.flags;
    params_.max_tokens = o.max_tokens;
    params_.sampling = &sampling_;
    params_.stop = stop_.data();
    params_.n_stop = static_cast<std::uint32_t>(stop_.size());
    params_.stop_tokens = o.stop_tokens.data();
    params_.n_stop_tokens = o.stop_tokens.size();
    params_.speculation = static_cast<std::int32_t>(o.speculation);
    params_.max_draft = o.max_draft;
    params_.flags |= o.logprobs || o.top_logprobs > 0 ? KETTE_GENERATE_LOGPROBS : 0;
    params_.top_logprobs = o.top_logprobs;
    params_.reasoning = static_cast<std::int32_t>(o.reasoning);
    params_.reasoning_max_tokens = o.reasoning_max_tokens;
    params_.reasoning_min_tokens = o.reasoning_min_tokens;
    params_.reasoning_close = o.reasoning_close ? o.reasoning_close->c_str() : nullptr;
    params_.tool_choice = static_cast<std::int32_t>(o.tool_choice);
    params_.tool_name = o.tool_name.empty() ? nullptr : o.tool_name.c_str();
    params_.grammar = o.grammar ? o.grammar->raw() : nullptr;
    params_.cancel = o.cancel != nullptr ? o.cancel->raw() : own_cancel;
  }
  gen_params(const gen_params&) = delete;
  gen_params& operator=(const gen_params&) = delete;
  const kette_gen_params* get() const noexcept { return &params_; }

 private:
  kette_sampling sampling_ = sized<kette_sampling>();
  kette_gen_params params_ = sized<kette_gen_params>();
  std::vector<token> bias_ids_;
  std::vector<float> bias_;
  std::vector<const char*> stop_;
};

}  // namespace detail
KETTE_END_NAMESPACE
