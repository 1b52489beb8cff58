/// A conversation: what the model has read and said, and answers as ranges of events.
///
///   kette::session s{m};
///   for (const kette::event& e : s.chat("Hi").max_tokens(200).stream()) std::cout << e.text() << std::flush;
///   if (!s.status()) std::cerr << s.status().error().message();
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kette/adapter.hpp"
#include "kette/detail/answer.hpp"
#include "kette/experimental.h"

KETTE_BEGIN_NAMESPACE

/// How a session is made. Zero means the default.
struct session_options {
  std::uint32_t max_context = 0;            ///< tokens held; 0: the model's context length, at most 4096
  std::int32_t kv_type = KETTE_KV_DEFAULT;  ///< KETTE_KV_*; default f16, in exact mode f32
  void* user = nullptr;                     ///< comes with the session's events; of a fork nullptr

  session_options& set_max_context(std::uint32_t tokens) { return max_context = tokens, *this; }
  session_options& set_kv_type(std::int32_t type) { return kv_type = type, *this; }
  session_options& set_user(void* pointer) { return user = pointer, *this; }
};

/// Counts, times and bytes of the answer under way or last ended.
struct metrics {
  std::uint64_t prompt_tokens, cached_tokens, generated_tokens;
  std::chrono::microseconds time_to_first_token, prefill, decode;
  std::uint64_t kv_bytes, weight_bytes, scratch_bytes;
  std::uint64_t steps;                                         ///< with a budget
  std::chrono::microseconds longest_overrun, longest_quantum;  ///< of those: past the budget; between two safe points
  std::uint64_t drafted_tokens, accepted_tokens;               ///< guesses made, and those that were right
  std::uint64_t reasoning_tokens;                              ///< of generated_tokens
  kette::reasoning_end reasoning_end;
  std::uint32_t dropped_messages;  ///< by KETTE_GENERATE_DROP_OLDEST
};

/// A whole answer.
struct reply {
  struct tool_call {
    std::string name, arguments;  ///< JSON, as the model wrote it
    bool is_malformed = false;    ///< the arguments are not JSON
  };
  std::string text, reasoning;
  std::vector<tool_call> tool_calls;
  finish_reason reason = finish_reason::none;
  kette::reasoning_end reasoning_end = kette::reasoning_end::none;
};

/// An answer as an input range of events, made by request::stream(). Iterating does the work, on this thread; the loop
/// ends with the last event or at an error, which session::status() then has. Destroying it early ends the answer, and
/// a newer answer of the same session ends it. Move-only (iterators don't survive that); the session must outlive it,
/// though it may move.
class event_stream {
 public:
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = event;
    using difference_type = std::ptrdiff_t;
    using pointer = const event*;
    using reference = const event&;

    iterator() noexcept = default;
    const event& operator*() const noexcept { return stream_->event_; }
    const event* operator->() const noexcept { return &stream_->event_; }
    iterator& operator++() {
      if (!stream_->next()) stream_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.stream_ == b.stream_; }
    friend bool operator!=(const iterator& a, const iterator& b) noexcept { return a.stream_ != b.stream_; }

   private:
    friend class event_stream;
    explicit iterator(event_stream* stream) noexcept : stream_(stream) {}
    event_stream* stream_ = nullptr;
  };

  event_stream(event_stream&& o) noexcept
      : state_(std::exchange(o.state_, nullptr)), serial_(o.serial_), event_(o.event_) {}
  event_stream& operator=(event_stream&& o) noexcept {
    if (this == &o) return *this;
    abandon();
    state_ = std::exchange(o.state_, nullptr);
    serial_ = o.serial_;
    event_ = o.event_;
    return *this;
  }
  ~event_stream() { abandon(); }

  /// Works until the first event. Once per stream.
  iterator begin() { return iterator(next() ? this : nullptr); }
  iterator end() noexcept { return iterator(); }

 private:
  friend class request;
  explicit event_stream(detail::session_state* state) noexcept
      : state_(state), serial_(state != nullptr ? state->serial : 0) {}
  bool live() const noexcept { return state_ != nullptr && state_->answering && state_->serial == serial_; }
  bool next() { return live() && state_->next(event_); }
  void abandon() noexcept {
    if (live()) state_->abandon();
  }

  detail::session_state* state_;  // nullptr: never begun
  std::uint64_t serial_;
  event event_;
};

/// A question and the options of its answer, made by session::chat() and session::generate(). Nothing happens before
/// one of stream(), text(), start(). The session must outlive it, though it may move.
class request {
 public:
  request& max_tokens(std::uint32_t n) { return options_.max_tokens = n, *this; }
  request& temperature(float t) { return options_.temperature = t, *this; }
  request& top_p(float p) { return options_.top_p = p, *this; }
  request& min_p(float p) { return options_.min_p = p, *this; }
  request& top_k(std::int32_t k) { return options_.top_k = k, *this; }
  request& repetition_penalty(float p) { return options_.repetition_penalty = p, *this; }
  request& seed(std::uint64_t s) { return options_.seed = s, *this; }
  request& stop(std::string s) { return options_.stop.push_back(std::move(s)), *this; }
  request& think(kette::reasoning r) { return options_.reasoning = r, *this; }
  /// At most so many tokens of thinking; 0: none.
  request& think_at_most(std::uint32_t tokens) {
    if (tokens == 0) return think(kette::reasoning::off);
    return options_.reasoning_max_tokens = tokens, *this;
  }
  request& think_at_least(std::uint32_t tokens) { return options_.reasoning_min_tokens = tokens, *this; }
  /// What the text must match, after thinking.
  request& constrain(kette::grammar g) { return options_.grammar = std::move(g), *this; }
  /// Make the model call a tool of the chat: this one, or any.
  request& call_tool(std::string name = {}) {
    return options_.tool_choice = tool_choice::required, options_.tool_name = std::move(name), *this;
  }
  request& logprobs(std::uint32_t top = 0) { return options_.logprobs = true, options_.top_logprobs = top, *this; }
  request& speculate(kette::speculation s) { return options_.speculation = s, *this; }
  /// Stops the answer from another thread or a signal handler; must live until the answer has begun.
  request& cancel(const kette::cancel& c) { return options_.cancel = &c, *this; }
  /// All options at once, in place of those set so far.
  request& options(generate_options o) { return options_ = std::move(o), *this; }

  /// Begin; iterate the stream for the events. If beginning fails the stream is empty and session::status() says why.
  event_stream stream() {
    const bool begun = start().ok();
    return event_stream(begun ? state_ : nullptr);
  }
  /// Begin, and leave the work to session::step() and the events to session::poll(). Fails with invalid_argument,
  /// context_full, misuse, or as the chat template does.
  result<void> start();
  /// The whole answer's text, without its thoughts and calls.
  result<std::string> text() {
    auto all = reply();
    if (!all) return all.error();
    return std::move(all->text);
  }
  /// The whole answer.
  result<kette::reply> reply() {
    kette::reply all;
    for (const event& e : stream()) {
      if (e.is_text()) all.text.append(e.text());
      if (e.is_reasoning()) all.reasoning.append(e.text());
      if (e.is_tool_call()) all.tool_calls.push_back({std::string(e.text()), {}});
      if (e.is_tool_arguments()) all.tool_calls.back().arguments.append(e.text());
      if (e.is_tool_end()) all.tool_calls.back().is_malformed = e.raw().is_malformed != 0;
      if (e.is_done()) all.reason = e.reason(), all.reasoning_end = e.reasoning_end();
    }
    if (!state_->status) return state_->status.error();
    return all;
  }

 private:
  friend class session;
  enum class source { tokens, prompt, question, messages };
  request(detail::session_state* state, source from) noexcept : state_(state), from_(from) {}

  detail::session_state* state_;
  source from_;
  std::string text_;
  std::vector<token> tokens_;
  const kette::chat* chat_ = nullptr;
  generate_options options_;
};

/// One conversation: a KV cache, a sampler, and the messages that chat(text) goes on with. Move-only, one thread at a
/// time; different sessions are independent. Keeps its model alive.
class session {
 public:
  /// Fails with out_of_memory, invalid_argument, or misuse on a model opened for its vocabulary only.
  static result<session> create(const kette::model& m, const session_options& options = {}) {
    auto params = detail::sized<kette_session_params>();
    params.max_context = options.max_context;
    params.kv_type = options.kv_type;
    params.user = options.user;
    kette_session* made = nullptr;
    auto called = detail::call([&](kette_error** e) { return kette_session_new(m.raw(), &params, &made, e); });
    if (!called) return called.error();
    return session(made, m);
  }
  /// As create(), throwing (or calling the failure handler) on an error.
  explicit session(const kette::model& m, const session_options& options = {}) : session(create(m, options).value()) {}

  /// Go on with the conversation: the question and, once it ends, the answer are added to messages(). An exchange that
  /// fails or is dropped before its first token is forgotten.
  request chat(std::string_view question) {
    request r(state_.get(), request::source::question);
    r.text_ = question;
    return r;
  }
  /// Answer a conversation of the caller's, which must live until the answer has begun; messages() stay as they are.
  request chat(const kette::chat& conversation) {
    request r(state_.get(), request::source::messages);
    r.chat_ = &conversation;
    return r;
  }
  /// Go on from plain text: special tokens spelled in it count as such, and BOS is added where the model wants it.
  request generate(std::string_view prompt) {
    request r(state_.get(), request::source::prompt);
    r.text_ = prompt;
    return r;
  }
  /// Go on from tokens, which are the whole sequence: the longest prefix already held is not evaluated again.
  request generate(span<const token> prompt) {
    request r(state_.get(), request::source::tokens);
    r.tokens_.assign(prompt.begin(), prompt.end());
    return r;
  }

  /// Success, or why the last answer could not begin or broke off.
  const result<void>& status() const noexcept { return state_->status; }

  /// Without blocking: work on a started answer for about `budget` (0: until an event). True once it has ended. In a
  /// scheduler this, as a stream's iteration, is a step of the scheduler, for all that is in it.
  result<bool> step(std::chrono::microseconds budget) {
    constexpr std::chrono::microseconds::rep most = std::numeric_limits<std::uint32_t>::max();
    const auto us = budget.count() < 0 ? 1 : budget.count() < most ? budget.count() : most;
    return state_->step(static_cast<std::uint32_t>(us));
  }
  /// The next event of a started answer, if there is one: true and `out`. Events may remain after step() said true.
  bool poll(event& out) { return state_->poll(out) == KETTE_OK; }
  /// End the answer under way, if any.
  void stop() { state_->abandon(); }

  /// The conversation that chat(text) goes on with; edit it, for instance to put a system message first.
  std::vector<message>& messages() noexcept { return state_->messages; }
  const std::vector<message>& messages() const noexcept { return state_->messages; }
  /// Forget everything: messages and tokens.
  result<void> reset() {
    auto rewound = rewind(0);
    if (rewound) state_->messages.clear();
    return rewound;
  }

  /// Append tokens to what the session holds; the logits of the last `rows` of them, [rows][vocab_size].
  /// Fails with invalid_argument or context_full, and then appends nothing.
  result<std::vector<float>> eval(span<const token> tokens, std::size_t rows = 1) {
    if (rows > tokens.size()) return error(errc::invalid_argument, "eval: more rows than tokens");
    std::vector<float> logits(rows * state_->of.vocab_size());
    auto called = eval(tokens, logits, rows);
    if (!called) return called.error();
    return logits;
  }
  /// The same into a buffer of at least rows * vocab_size floats; 0 rows take none.
  result<void> eval(span<const token> tokens, span<float> logits, std::size_t rows) {
    const std::size_t vocab_size = state_->of.vocab_size();
    if (vocab_size == 0 || logits.size() / vocab_size < rows)
      return error(errc::invalid_argument, "eval: the buffer is smaller than rows * vocab_size");
    state_->abandon();
    return detail::call([&](kette_error** e) {
      return kette_session_eval(raw(), tokens.data(), tokens.size(), logits.data(), rows, e);
    });
  }
  /// Keep only the first n_tokens of the tokens held. messages() stay.
  result<void> rewind(std::uint32_t n_tokens) {
    state_->abandon();
    return detail::call([&](kette_error** e) { return kette_session_rewind(raw(), n_tokens, e); });
  }
  /// The tokens held and what was evaluated of them, as bytes or as a file that appears whole or not at all; without
  /// messages(), which are the caller's to keep. Fails with misuse while an answer is under way, and as writing does.
  result<std::string> save() const {
    return detail::make_string([&](kette_buf** out, kette_error** e) { return kette_session_save(raw(), out, e); });
  }
  result<void> save(const std::string& path) const {
    return detail::call([&](kette_error** e) { return kette_session_save_file(raw(), path.c_str(), e); });
  }
  /// Hold what was saved instead, and go on as if it had never stopped; ends an answer under way. messages() stay. Fails
  /// without effect: invalid_argument (of another model or kv_type), context_full, corrupt, format.
  result<void> load_bytes(std::string_view saved) {
    state_->abandon();
    return detail::call([&](kette_error** e) { return kette_session_load(raw(), saved.data(), saved.size(), e); });
  }
  result<void> load(const std::string& path) {
    state_->abandon();
    return detail::call([&](kette_error** e) { return kette_session_load_file(raw(), path.c_str(), e); });
  }
  /// Attach an adapter of this session's model, change its scale, or with 0 take it away; or take all away. An answer
  /// under way is ended. Where that changes anything the tokens held are dropped (messages() stay): the next prompt is
  /// evaluated anew.
  result<void> set_adapter(const adapter& a, float scale = 1) {
    state_->abandon();
    return detail::call([&](kette_error** e) { return kette_session_set_adapter(raw(), a.raw(), scale, e); });
  }
  result<void> clear_adapters() {
    state_->abandon();
    return detail::call([&](kette_error** e) { return kette_session_clear_adapters(raw(), e); });
  }
  /// A second session that goes on from what this one holds, messages included, without evaluating it again.
  result<session> fork() const {
    kette_session* made = nullptr;
    auto called = detail::call([&](kette_error** e) { return kette_session_fork(raw(), &made, e); });
    if (!called) return called.error();
    session copy(made, state_->of);
    copy.state_->messages = state_->messages;
    if (state_->keeps_exchange) copy.state_->messages.pop_back();
    return copy;
  }
  /// Tokens held, and at most.
  std::uint32_t length() const noexcept { return kette_session_length(raw()); }
  std::uint32_t capacity() const noexcept { return kette_session_capacity(raw()); }
  result<kette::metrics> metrics() const {
    auto m = detail::sized<kette_metrics>();
    auto called = detail::call([&](kette_error** e) { return kette_session_metrics(raw(), &m, e); });
    if (!called) return called.error();
    const auto us = [](std::uint64_t n) { return std::chrono::microseconds(static_cast<std::int64_t>(n)); };
    return kette::metrics{m.prompt_tokens,
                          m.cached_tokens,
                          m.gen_tokens,
                          us(m.ttft_us),
                          us(m.prefill_us),
                          us(m.decode_us),
                          m.kv_bytes,
                          m.weight_bytes,
                          m.scratch_bytes,
                          m.steps,
                          us(m.step_overrun_max_us),
                          us(m.quantum_max_us),
                          m.drafted_tokens,
                          m.accepted_tokens,
                          m.reasoning_tokens,
                          static_cast<kette::reasoning_end>(m.reasoning_end),
                          m.dropped_messages};
  }

  /// Measure where the time of this session's passes goes from here on, anew if that was on, or stop; results are the
  /// same, bit for bit. Experimental: unsupported by a library that has other functions for it.
  result<void> set_profile(bool on) {
    const auto set = reinterpret_cast<kette_session_set_profile_fn>(kette_get_experimental(KETTE_SESSION_SET_PROFILE));
    if (set == nullptr) return error(errc::unsupported, "this library has no " KETTE_SESSION_SET_PROFILE);
    return detail::call([&](kette_error** e) { return set(raw(), on ? 1 : 0, e); });
  }
  /// What was measured, as JSON: see kette/experimental.h. Fails with misuse if nothing ever was.
  result<std::string> profile() const {
    const auto get = reinterpret_cast<kette_session_profile_fn>(kette_get_experimental(KETTE_SESSION_PROFILE));
    if (get == nullptr) return error(errc::unsupported, "this library has no " KETTE_SESSION_PROFILE);
    return detail::make_string([&](kette_buf** out, kette_error** e) { return get(raw(), out, e); });
  }

  const kette::model& model() const noexcept { return state_->of; }
  /// The C handle; still owned by this object.
  kette_session* raw() const noexcept { return state_->raw(); }

 private:
  friend class scheduler;
  session(kette_session* adopted, const kette::model& m)
      : state_(std::make_unique<detail::session_state>(adopted, m)) {}

  std::unique_ptr<detail::session_state> state_;
};
static_assert(sizeof(session) == sizeof(void*), "a handle is one pointer wide");

/// The text that most of several answers to one question give (self-consistency, Wang et al. 2022).
struct vote {
  std::string text;       ///< of equals the one that was given first
  std::size_t votes = 0;  ///< of replies.size()
  std::vector<reply> replies;
};
/// What of a reply is compared; without one, its text without white space at the ends.
using vote_key = std::function<std::string(const reply&)>;

/// Think n times, each time with a seed of its own, and vote. The prompt is evaluated once: each answer is that of a fork.
/// The session then holds the conversation with the question, and messages() stay as they are. Temperature 0 would give
/// n equal answers. Fails as an answer does, and with invalid_argument for n = 0.
inline result<vote> think_and_vote(session& of, std::string_view question, std::size_t n, generate_options options = {},
                                   const vote_key& key = {}) {
  if (n == 0) return error(errc::invalid_argument, "think_and_vote: n is 0");
  auto conversation = chat::create(of.model());
  if (!conversation) return conversation.error();
  for (const message& m : of.messages())
    if (auto added = conversation->add(m); !added) return added.error();
  if (auto added = conversation->add("user", question); !added) return added.error();
  generate_options prompt_only = options;
  prompt_only.flags |= KETTE_GENERATE_PROMPT_ONLY;
  if (auto evaluated = of.chat(*conversation).options(prompt_only).reply(); !evaluated) return evaluated.error();
  const auto words = [&](const reply& r) {
    if (key) return key(r);
    const std::size_t first = r.text.find_first_not_of(" \t\r\n"), last = r.text.find_last_not_of(" \t\r\n");
    return first == std::string::npos ? std::string() : r.text.substr(first, last - first + 1);
  };
  vote out;
  std::vector<std::string> keys;
  const std::uint64_t seed = options.seed.value_or(0);
  for (std::size_t i = 0; i < n; ++i) {
    auto fork = of.fork();
    if (!fork) return fork.error();
    options.seed = seed + i;
    auto answer = fork->chat(*conversation).options(options).reply();
    if (!answer) return answer.error();
    keys.push_back(words(*answer));
    out.replies.push_back(std::move(*answer));
  }
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t votes = 0;
    for (const std::string& k : keys) votes += k == keys[i] ? 1 : 0;
    if (votes <= out.votes) continue;
    out.votes = votes;
    out.text = out.replies[i].text;
  }
  return out;
}

inline result<void> request::start() {
  const auto from_tokens = [&](const std::vector<token>& tokens) {
    return state_->begin(options_, [&](const kette_gen_params* p, kette_error** e) {
      return kette_session_begin_tokens(state_->raw(), tokens.data(), tokens.size(), p, e);
    });
  };
  const auto from_chat = [&](const kette::chat& c) {
    return state_->begin(options_, [&](const kette_gen_params* p, kette_error** e) {
      return kette_session_begin_chat(state_->raw(), c.raw(), p, e);
    });
  };
  state_->abandon();
  switch (from_) {
    case source::tokens: return from_tokens(tokens_);
    case source::messages: return from_chat(*chat_);
    case source::prompt: {
      auto tokens = state_->of.tokenize(text_, KETTE_TOKENIZE_ADD_SPECIAL | KETTE_TOKENIZE_PARSE_SPECIAL);
      return tokens ? from_tokens(*tokens) : state_->status = tokens.error();
    }
    case source::question: break;
  }
  auto conversation = kette::chat::create(state_->of);
  if (!conversation) return state_->status = conversation.error();
  const auto add = [&](const message& m) {
    if (state_->status) state_->status = conversation->add(m);
  };
  state_->status = {};
  for (const message& m : state_->messages) add(m);
  message question{"user", text_, {}};
  add(question);
  if (!state_->status || !from_chat(*conversation)) return state_->status;
  // Room for the answer too, so that keeping it when the stream ends cannot fail.
  state_->messages.reserve(state_->messages.size() + 2);
  state_->messages.push_back(std::move(question));
  state_->keeps_exchange = true;
  return state_->status;
}

KETTE_END_NAMESPACE
