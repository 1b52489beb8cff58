#include "runtime/answer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kette {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

}  // namespace

Answer::Answer(const LoadedModel& loaded, GenerateOptions options, AnswerFormat format)
    : loaded_(&loaded),
      tokenizer_(loaded.tokenizer().ok() ? *loaded.tokenizer() : nullptr),
      options_(std::move(options)),
      format_(std::move(format)),
      sampler_(options_.sampling, static_cast<int32_t>(loaded.model()->shape().vocab_size)),
      watch_({.budget = options_.thinking_budget, .minimum = options_.thinking_minimum, .loops = options_.close_loops}),
      text_(options_.stop, options_.raw_bytes),
      thought_({}, options_.raw_bytes),
      arguments_({}, options_.raw_bytes),
      name_({}, false) {}

Result<Answer> Answer::make(const LoadedModel& loaded, GenerateOptions options, AnswerFormat format,
                            std::span<const Token> prompt) {
  const bool thinks = format.dialect != nullptr && format.dialect->thinking.known();
  if ((options.thinking_budget > 0 || options.thinking_minimum > 0) && !thinks)
    return error(Code::kUnsupported, "reasoning limits: {}",
                 format.dialect != nullptr ? "the model's chat template has no thinking" : "the prompt is not a chat");
  if (options.constrain_thought && (options.thinking_budget > 0 || format.call))
    return error(Code::kInvalidArgument, "{}: cannot be kept where the grammar holds for the thought too",
                 format.call ? "a required tool call" : "reasoning_max_tokens");
  // What is put in to close a thought is not of the grammar.
  if (options.constrain_thought) options.close_loops = false;
  if (thinks && options.thinking_close.find(format.dialect->thinking.close) != std::string::npos)
    return error(Code::kInvalidArgument, "reasoning_close has the closing tag {} in it",
                 format.dialect->thinking.close);
  if (options.thinking_budget > 0 && options.thinking_minimum > options.thinking_budget)
    return error(Code::kInvalidArgument, "reasoning_min_tokens: {}, expected at most reasoning_max_tokens, {}",
                 options.thinking_minimum, options.thinking_budget);
  Answer answer(loaded, std::move(options), std::move(format));
  for (const Token token : prompt) answer.sampler_.accept(token);
  const auto& constraint = answer.format_.call ? answer.format_.call : answer.options_.constraint;
  if (constraint) {
    answer.matcher_.emplace(constraint);
    answer.mask_.resize(constraint->tokens().mask_words());
  }
  if (answer.tokenizer_ == nullptr || answer.format_.dialect == nullptr) return answer;
  const Dialect& dialect = *answer.format_.dialect;
  answer.parser_.emplace(dialect, answer.format_.start, answer.format_.tools);
  if (!thinks) return answer;
  const auto encode = [&](std::string_view plain, std::string_view literal) {
    return answer.tokenizer_->encode(std::vector<TextSpan>{{plain, false}, {literal, true}}, false);
  };
  KETTE_ASSIGN(const std::vector<Token> opening, encode("", dialect.thinking.open));
  if (opening.size() == 1) answer.opening_ = opening[0];
  KETTE_ASSIGN(answer.closing_, encode(answer.options_.thinking_close, dialect.thinking.closing()));
  KETTE_ASSIGN(answer.separator_, encode("", "\n\n"));
  return answer;
}

bool Answer::is_end(Token token) const {
  const auto is_in = [&](auto&& tokens) { return std::ranges::find(tokens, token) != tokens.end(); };
  return is_in(options_.stop_tokens) || (!options_.ignore_eos && is_in(loaded_->ends()));
}

// The answer has not begun and may begin with a thought.
bool Answer::may_think() const {
  return generated_ == 0 && opening_ >= 0 && format_.start == AnswerStart::kBeforeThought &&
         options_.thinking != ThinkingSetting::kOff;
}

bool Answer::constrained() const { return matcher_ && (options_.constrain_thought || !in_thought()); }

// The token's bytes as the parser sees them: of control tokens, tags and markers alone, unless all are to be shown.
std::string_view Answer::shown(Token token) const {
  if (tokenizer_ == nullptr) return {};
  const std::string_view bytes = tokenizer_->bytes_of(token);
  if (options_.show_special || !tokenizer_->is_special(token)) return bytes;
  return parser_ && format_.dialect->is_marker(bytes, format_.tools) ? bytes : std::string_view();
}

// Would the token end a thought that has to go on, or begin one that must not be? Would it get round a grammar that waits
// for the thought's end?
bool Answer::forbidden(Token token) const {
  const bool thinking = in_thought(), waits = thinking && matcher_ && !options_.constrain_thought;
  const bool must_go_on = thinking && !watch_.may_close();
  const bool must_not_begin = !thinking && parser_ && options_.thinking == ThinkingSetting::kOff;
  if ((must_go_on || waits || generated_ < options_.thinking_minimum) && is_end(token)) return true;
  if (waits && parser_->turn(shown(token)).leaves_text) return true;
  return (must_go_on || must_not_begin) && parser_->turn(shown(token)).turns;
}

Result<Token> Answer::choose(std::span<float> logits) {
  if (options_.logprobs) note_likeliest(logits);
  if (options_.thinking_minimum > 0 && may_think() && !options_.constrain_thought) {  // else it might not think at all
    if (options_.logprobs)
      chosen_logprob_ = static_cast<float>(double{logits[static_cast<size_t>(opening_)]} - log_sum_);
    return opening_;
  }
  if (constrained()) KETTE_TRY(mask(logits));
  bool left_out = false;
  for (;;) {
    const Result<Token> sampled = sampler_.sample(logits);
    if (!sampled.ok() && left_out && matcher_)
      return error(Code::kGrammarDeadEnd, "the grammar allows only what ends, or opens, a thought that must not be");
    if (!sampled.ok()) return sampled.status();
    const Token token = *sampled;
    if (forbidden(token)) {
      logits[static_cast<size_t>(token)] = kNever;
      left_out = true;
      continue;
    }
    if (options_.logprobs) chosen_logprob_ = static_cast<float>(double{logits[static_cast<size_t>(token)]} - log_sum_);
    return token;
  }
}

// What the grammar does not allow here gets no chance. A thought may be opened where the answer begins.
Status Answer::mask(std::span<float> logits) {
  KETTE_TRY(matcher_->fill_mask(mask_));
  const auto allow = [&](Token token) {
    if (static_cast<size_t>(token) < mask_.size() * 32)
      mask_[static_cast<size_t>(token) / 32] |= 1u << (static_cast<uint32_t>(token) % 32);
  };
  if (may_think() && !options_.constrain_thought) allow(opening_);
  if (matcher_->can_end())
    for (const Token token : options_.stop_tokens) allow(token);
  for (size_t i = 0; i < logits.size(); i += 32) {
    const uint32_t bits = i / 32 < mask_.size() ? mask_[i / 32] : 0;
    if (bits == ~0u) continue;
    for (size_t j = i; j < std::min(i + 32, logits.size()); ++j)
      if ((bits >> (j - i) & 1) == 0) logits[j] = kNever;
  }
  return {};
}

void Answer::note_likeliest(std::span<const float> logits) {
  const auto largest = double{*std::ranges::max_element(logits)};
  double sum = 0;
  for (const float x : logits) sum += std::exp(double{x} - largest);
  log_sum_ = largest + std::log(sum);
  likeliest_.clear();
  const size_t wanted = options_.top_logprobs;
  if (wanted == 0) return;
  const auto before = [](const Logprob& a, const Logprob& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token);
  };
  for (size_t i = 0; i < logits.size(); ++i) {
    const Logprob next{static_cast<Token>(i), logits[i]};
    if (likeliest_.size() == wanted && !before(next, likeliest_.back())) continue;
    if (likeliest_.size() == wanted) likeliest_.pop_back();
    likeliest_.insert(std::ranges::upper_bound(likeliest_, next, before), next);
  }
  for (Logprob& l : likeliest_) l.logprob = static_cast<float>(double{l.logprob} - log_sum_);
}

Result<Finish> Answer::take(Token token, std::vector<Event>& events) {
  const bool by_grammar = constrained() && !(may_think() && !options_.constrain_thought && token == opening_);
  const bool was_in_thought = in_thought();
  sampler_.accept(token);
  ++generated_;
  if (is_end(token)) return Finish::kStop;
  if (by_grammar) KETTE_TRY(matcher_->accept_token(token));
  const Finish shown = show(token, events);
  if (shown != Finish::kNone) return shown;
  watch(was_in_thought, token);
  // Nothing can follow: whoever has no end token, or does not look at it, ends here too.
  if (by_grammar && matcher_->dead()) return Finish::kStop;
  return options_.max_tokens > 0 && generated_ >= options_.max_tokens ? Finish::kLength : Finish::kNone;
}

Finish Answer::take_forced(Token token, std::vector<Event>& events) {
  const bool was_in_thought = in_thought();
  sampler_.accept(token);
  ++generated_;
  chosen_logprob_ = 0;
  likeliest_.clear();
  const Finish shown = show(token, events);
  if (was_in_thought) ++thought_tokens_;
  if (was_in_thought && !in_thought()) thought_end_ = closing_why_;
  if (shown != Finish::kNone) return shown;
  return options_.max_tokens > 0 && generated_ >= options_.max_tokens ? Finish::kLength : Finish::kNone;
}

// Do the token's bytes end inside a character?
bool Answer::in_character(Token token) const {
  if (!options_.raw_bytes) return thought_.open();
  const std::string_view bytes = shown(token);
  size_t at = bytes.size();
  while (at > 0 && bytes.size() - at < 3 && (static_cast<uint8_t>(bytes[at - 1]) & 0xc0) == 0x80) --at;
  if (at == 0) return !bytes.empty() && (static_cast<uint8_t>(bytes[0]) & 0xc0) == 0x80;
  const auto lead = static_cast<uint8_t>(bytes[at - 1]);
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return bytes.size() - (at - 1) < length;
}

// Counts a thought's tokens, and closes one that has gone on for long enough.
void Answer::watch(bool was_in_thought, Token token) {
  if (!was_in_thought) return;
  ++thought_tokens_;
  if (!in_thought()) {
    thought_end_ = ThoughtEnd::kModel;
    if (matcher_ && !options_.constrain_thought) forced_ = separator_;
    return;
  }
  const auto verdict = watch_.push(token);
  // Not inside a character, unless the model never ends it.
  if (verdict == ThinkingWatch::Verdict::kNone || (in_character(token) && put_off_++ < 3)) return;
  closing_why_ = verdict == ThinkingWatch::Verdict::kBudget ? ThoughtEnd::kBudget : ThoughtEnd::kLoop;
  forced_ = closing_;
}

// The token's events: at least one, the first of which has the token.
Finish Answer::show(Token token, std::vector<Event>& events) {
  const size_t first = events.size();
  pieces_.clear();
  if (parser_)
    parser_->push(shown(token), tokenizer_->is_special(token), pieces_);
  else if (const std::string_view bytes = shown(token); !bytes.empty())
    pieces_.push_back({AnswerPiece::Kind::kText, std::string(bytes)});
  for (const AnswerPiece& piece : pieces_) {
    show_piece(piece, events);
    if (text_.stopped()) break;
  }
  if (events.size() == first) add(in_thought() ? Event::Kind::kReasoning : Event::Kind::kText, {}, events);
  events[first].token = token;
  events[first].logprob = chosen_logprob_;
  events[first].top = likeliest_;
  return text_.stopped() ? Finish::kStopString : Finish::kNone;
}

void Answer::show_piece(const AnswerPiece& piece, std::vector<Event>& events) {
  using Kind = AnswerPiece::Kind;
  if (piece.kind != kind_) close_kind(events);
  kind_ = piece.kind;
  switch (piece.kind) {
    case Kind::kText: add(Event::Kind::kText, text_.push(piece.text), events); break;
    case Kind::kReasoning: add(Event::Kind::kReasoning, thought_.push(piece.text), events); break;
    case Kind::kToolArguments: add(Event::Kind::kToolArguments, arguments_.push(piece.text), events); break;
    case Kind::kToolName:
      message_.calls.emplace_back();
      add(Event::Kind::kToolCall, name_.push(piece.text) + name_.finish(), events);
      break;
    case Kind::kToolEnd:
      add(Event::Kind::kToolEnd, {}, events);
      events.back().malformed = piece.malformed;
      break;
  }
}

// What was held back of the kind that was shown last.
void Answer::close_kind(std::vector<Event>& events) {
  using Kind = AnswerPiece::Kind;
  const auto rest = [&](Event::Kind kind, TextStream& stream) {
    if (std::string text = stream.finish(); !text.empty()) add(kind, std::move(text), events);
  };
  if (kind_ == Kind::kText) rest(Event::Kind::kText, text_);
  if (kind_ == Kind::kReasoning) rest(Event::Kind::kReasoning, thought_);
  if (kind_ == Kind::kToolArguments) rest(Event::Kind::kToolArguments, arguments_);
}

void Answer::add(Event::Kind kind, std::string text, std::vector<Event>& events) {
  std::vector<AnswerMessage::Call>& calls = message_.calls;
  if (kind == Event::Kind::kText) message_.text += text;
  if (kind == Event::Kind::kReasoning) message_.thought += text;
  if (kind == Event::Kind::kToolCall) calls.back().name = text;
  if (kind == Event::Kind::kToolArguments) calls.back().arguments += text;
  Event event;
  event.kind = kind;
  event.text = std::move(text);
  event.index = generated_;
  event.tool_index = calls.empty() ? 0 : static_cast<uint32_t>(calls.size() - 1);
  events.push_back(std::move(event));
}

void Answer::finish(Finish reason, std::vector<Event>& events) {
  if (in_thought()) thought_end_ = ThoughtEnd::kCut;
  if (!text_.stopped()) {
    pieces_.clear();
    if (parser_) parser_->finish(pieces_);
    for (const AnswerPiece& piece : pieces_) show_piece(piece, events);
    close_kind(events);
  }
  add(Event::Kind::kDone, {}, events);
  events.back().finish = reason;
  events.back().thought_end = thought_end_;
}

}  // namespace kette
